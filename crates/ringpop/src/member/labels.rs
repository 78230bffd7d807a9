//! What this member tells the others of itself.

use swim_core::{CommandError, Labels};

use super::Ringpop;
use crate::command_error::SetLabelsError;
use crate::labels::{OwnLabels, check_weight};
use crate::planned;
use crate::state::State;

impl Ringpop {
    /// Replaces the labels that all members see of this one. Identity, weight
    /// and zone stay, unless a label `weight` or `zone` is among the new ones.
    ///
    /// # Errors
    ///
    /// When the labels exceed the limits of the configuration, use the reserved
    /// prefix, or have a weight that is none; when the member has stopped. The
    /// labels stay as they were.
    pub async fn set_labels(&self, labels: Labels) -> Result<(), SetLabelsError> {
        self.update_labels(|own| Ok(own.replace(&labels)?)).await
    }

    /// The labels of this member without weight and zone, as the others see them.
    pub async fn labels(&self) -> Labels {
        let own = self.0.labels.lock().await;
        // They were checked when they were taken.
        Labels::new(own.others.iter().cloned()).unwrap_or_default()
    }

    /// Sets one label and leaves the others as they are. A label `weight` or `zone`
    /// is the same as [`set_weight`](Self::set_weight) or [`set_zone`](Self::set_zone).
    ///
    /// ```
    /// # use ringpop::Ringpop;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let member = Ringpop::builder("rides").listen("127.0.0.1:0".parse()?).bind().await?;
    /// member.set_label("version", "1.4.0").await?;
    /// member.set_label("role", "dispatch").await?;
    /// assert!(member.remove_label("version").await?);
    /// assert_eq!(member.labels().await.get("version"), None);
    /// assert_eq!(member.labels().await.get("role"), Some("dispatch"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set_labels`](Self::set_labels).
    pub async fn set_label(
        &self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), SetLabelsError> {
        let (key, value) = (key.into(), value.into());
        self.update_labels(|own| Ok(own.set(key, value)?)).await
    }

    /// Removes a label; whether there was one. Without a label `weight` the weight
    /// is 1, without a label `zone` there is none.
    ///
    /// # Errors
    ///
    /// When the member has stopped.
    pub async fn remove_label(&self, key: &str) -> Result<bool, SetLabelsError> {
        let mut removed = false;
        self.update_labels(|own| {
            removed = own.remove(key);
            Ok(())
        })
        .await?;
        Ok(removed)
    }

    /// Changes how much of the keys this member owns, relative to others: 0 to
    /// [`WEIGHT_MAX`](crate::limits::WEIGHT_MAX).
    ///
    /// # Errors
    ///
    /// As [`set_labels`](Self::set_labels).
    pub async fn set_weight(&self, weight: u32) -> Result<(), SetLabelsError> {
        let change = |own: &mut OwnLabels| {
            own.weight = Some(check_weight(&weight.to_string())?);
            Ok(())
        };
        self.update_labels(change).await
    }

    /// Changes the failure domain of this member.
    ///
    /// # Errors
    ///
    /// As [`set_labels`](Self::set_labels).
    pub async fn set_zone(&self, zone: impl Into<String>) -> Result<(), SetLabelsError> {
        let zone = zone.into();
        self.update_labels(|own| {
            own.zone = Some(zone);
            Ok(())
        })
        .await
    }

    /// All labels of this member, as they travel.
    pub(crate) async fn all_labels(&self) -> Result<Labels, SetLabelsError> {
        let own = self.0.labels.lock().await;
        Ok(own.labels(&self.0.address).map_err(CommandError::Labels)?)
    }

    /// Changes what this member says of itself. A ready member changes its weight by a planned
    /// move, after the rest.
    pub(crate) async fn update_labels(
        &self,
        change: impl FnOnce(&mut OwnLabels) -> Result<(), SetLabelsError>,
    ) -> Result<(), SetLabelsError> {
        let state = self.state();
        if state == State::Stopped {
            return Err(SetLabelsError::Stopped);
        }
        let (is_ready, mut is_planned) = (state == State::Ready, false);
        let all_but_weight = |own: &mut OwnLabels| {
            let reached = own.weight;
            // The change is one of what was asked for last, which a move may be under way to.
            let asked = own.asked_weight.unwrap_or(reached);
            own.weight = asked;
            change(own)?;
            // One that waits for its keys has the new weight when it gets them.
            if is_ready && !own.waits {
                is_planned = own.weight != asked;
                if is_planned {
                    own.asked_weight = Some(own.weight);
                }
                own.weight = reached;
            } else {
                own.asked_weight = None;
            }
            Ok(())
        };
        self.0.update_labels(all_but_weight).await?;
        if !is_planned {
            return Ok(());
        }
        planned::change_to_asked_weight(&self.0, self.0.planner.limit()).await
    }
}
