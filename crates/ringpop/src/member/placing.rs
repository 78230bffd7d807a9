//! How keys are placed, as the application asks for it.

use super::Ringpop;
use crate::command_error::SetLabelsError;
use crate::labels::OwnLabels;
use crate::placement::PlacementChoice;

impl Ringpop {
    /// The placement in use: the one that most members on the ring ask for.
    #[must_use]
    pub fn placement(&self) -> PlacementChoice {
        self.0.views.with(|view| view.ring.placement())
    }

    /// Changes the placement that this member asks for. All switch together, in the view in which
    /// most members ask for another one than before; nearly all keys have another owner then.
    ///
    /// # Errors
    ///
    /// When the number of points is out of its range, or the member has stopped.
    pub async fn set_placement(&self, placement: PlacementChoice) -> Result<(), SetLabelsError> {
        placement.check()?;
        let change = |own: &mut OwnLabels| {
            own.placement = placement;
            Ok(())
        };
        self.update_labels(change).await
    }
}
