//! How a ring is laid out: what a person can choose, and the ring that comes of it.

use std::sync::Arc;

use hashring::{BuildError, Crc32, EnvoyRingHash, Ketama, Ring, Ringpop, Scheme, Xxh3};

use super::backends::{BackendRing, Backends};
use super::placed::{self, Numbers, Placed};
use crate::args::{LayoutArgs, PlacementName, SchemeName};
use crate::failure::Failure;

impl LayoutArgs {
    /// The ring of these backends. None of them needs to have points.
    pub(super) fn ring(&self, backends: &Backends) -> Result<BackendRing, Failure> {
        let mut builder = Ring::builder().scheme(self.scheme()?);
        if let Some(points) = self.points {
            builder = builder.points_per_weight_unit(points);
        }
        builder.nodes(backends.nodes()).build().map_err(in_words_of_the_command)
    }

    /// The ring of these backends, where it makes no sense that nobody owns anything.
    pub(super) fn owned_ring(&self, backends: &Backends) -> Result<BackendRing, Failure> {
        let ring = self.ring(backends)?;
        if ring.points().len() == 0 {
            return Err(Failure::failed(
                "nobody owns anything: give at least one backend that is healthy and has a weight",
            ));
        }
        Ok(ring)
    }

    /// The backends of a ring by the placement that was asked for, `None` for the ring itself.
    pub(super) fn placed(
        &self,
        ring: BackendRing,
        numbers: &Numbers,
    ) -> Result<Option<Box<dyn Placed>>, Failure> {
        let has_points =
            matches!(self.placement, PlacementName::Ring | PlacementName::LocalRendezvous);
        if !has_points && (self.points.is_some() || self.scheme != SchemeName::Xxh3) {
            return Err(Failure::Usage(
                "this placement has neither a scheme nor points: leave --scheme and --points out"
                    .to_owned(),
            ));
        }
        placed::place(self.placement, ring, numbers).map_err(Failure::failed)
    }

    fn scheme(&self) -> Result<Arc<dyn Scheme>, Failure> {
        let sizes = self.min_ring_size.zip(self.max_ring_size);
        let scheme: Arc<dyn Scheme> = match (self.scheme, sizes) {
            (SchemeName::Xxh3, None) => Arc::new(Xxh3),
            (SchemeName::Crc32, None) => Arc::new(Crc32),
            (SchemeName::Ringpop, None) => Arc::new(Ringpop),
            (SchemeName::Ketama, None) => Arc::new(Ketama),
            (SchemeName::Envoy, None) => Arc::new(EnvoyRingHash::default()),
            (SchemeName::Envoy, Some((min, max))) => Arc::new(
                EnvoyRingHash::new(min, max).map_err(|error| Failure::Usage(error.to_string()))?,
            ),
            (_, Some(_)) => {
                return Err(Failure::Usage(
                    "--min-ring-size and --max-ring-size need --scheme envoy: leave them out or choose it"
                        .to_owned(),
                ));
            }
        };
        Ok(scheme)
    }
}

/// The builder names its own options, which here have other names.
fn in_words_of_the_command(error: BuildError) -> Failure {
    match error {
        BuildError::TooManyPoints { needed, limit } => Failure::Failed(format!(
            "the backends need {needed} points and a ring has {limit} at most: lower their weights or --points"
        )),
        BuildError::PointsDecidedByScheme { scheme } => Failure::Usage(format!(
            "scheme {scheme} decides the number of points itself: leave --points out"
        )),
        other => Failure::failed(other),
    }
}

/// The number of points per weight unit, unless the scheme decides by other means.
pub(super) fn points_per_weight_unit(ring: &BackendRing) -> Option<u32> {
    Some(ring.points_per_weight_unit()).filter(|points| *points > 0)
}

/// A place as fixed-width hexadecimal text, in which places sort as they lie on the circle.
pub(super) fn place<N, S: Scheme>(ring: &Ring<N, S>, place: u64) -> String {
    let digits = (ring.scheme().circle_bits() / 4) as usize;
    format!("{place:0digits$x}")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;
    use hashring::scheme;

    use super::{LayoutArgs, PlacementName, SchemeName};

    #[test]
    fn schemes_have_the_names_of_the_library() {
        for name in SchemeName::value_variants() {
            let layout = LayoutArgs {
                placement: PlacementName::default(),
                scheme: *name,
                points: None,
                min_ring_size: None,
                max_ring_size: None,
            };
            let value = name.to_possible_value().unwrap();
            let same = scheme::by_name(value.get_name()).expect("the library knows the name");
            assert_eq!(layout.scheme().unwrap().name(), same.name());
        }
    }
}
