//! Feature `tls`: warning before the certificate of this member ends.

use std::time::{Duration, SystemTime};

use ringpop_forward::{Tls, Validity};
use tokio::time::sleep;

use crate::bind_error::BindError;
use crate::limits::{CERTIFICATE_WARNING_PART, CERTIFICATE_WARNINGS};
use crate::problem::{Problem, ProblemKind};
use crate::problems::Problems;

/// Refuses a certificate that is not valid any more: every peer would.
pub(crate) fn check(tls: &Tls, now: SystemTime) -> Result<(), BindError> {
    let Some(validity) = tls.validity() else { return Ok(()) };
    let Ok(ago) = now.duration_since(validity.not_after) else { return Ok(()) };
    let path = tls.certificate_path().display().to_string();
    Err(BindError::CertificateExpired { path, days: ago.as_secs() / 86_400 })
}

/// Looks at the certificate as often as at its files, and warns at each step
/// towards its end. Never ends.
pub(crate) async fn watch<T>(tls: &Tls, problems: &Problems) -> T {
    let mut last = None;
    loop {
        let step = tls.validity().and_then(|validity| step(&validity, SystemTime::now()));
        if step != last {
            match step {
                Some(remaining) => {
                    let path = tls.certificate_path().display().to_string();
                    problems.begin(Problem::CertificateEnds { remaining, path });
                }
                None => problems.end(ProblemKind::Certificate),
            }
            last = step;
        }
        sleep(tls.reload_interval()).await;
    }
}

/// The last step before its end that a certificate has come to; zero is its end.
fn step(validity: &Validity, now: SystemTime) -> Option<Duration> {
    let Some(remaining) = validity.remaining(now) else { return Some(Duration::ZERO) };
    let life = validity.not_after.duration_since(validity.not_before).unwrap_or_default();
    if remaining > life / CERTIFICATE_WARNING_PART {
        return None;
    }
    CERTIFICATE_WARNINGS.into_iter().filter(|step| remaining <= *step).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn steps(life_days: u32, remaining: &[Duration]) -> Vec<Option<u64>> {
        let not_before = SystemTime::UNIX_EPOCH;
        let not_after = not_before + DAY * life_days;
        let validity = Validity { not_before, not_after };
        let step = |left: &Duration| step(&validity, not_after - *left);
        remaining.iter().map(step).map(|step| step.map(|step| step.as_secs() / 86_400)).collect()
    }

    #[test]
    fn a_certificate_is_warned_of_at_thirty_seven_and_one_days() {
        let second = Duration::from_secs(1);
        let remaining =
            [DAY * 30 + second, DAY * 30, DAY * 7 + second, DAY * 7, DAY + second, DAY, second];
        let expected = [None, Some(30), Some(30), Some(7), Some(7), Some(1), Some(1)];
        assert_eq!(steps(365, &remaining), expected);
    }

    #[test]
    fn one_that_lives_for_a_day_is_not_warned_of_from_its_birth() {
        let hour = DAY / 24;
        assert_eq!(steps(1, &[DAY, hour * 9, hour * 8]), [None, None, Some(1)]);
    }

    #[test]
    fn its_end_is_a_step_of_its_own() {
        let not_before = SystemTime::UNIX_EPOCH;
        let validity = Validity { not_before, not_after: not_before + DAY };
        let now = not_before + DAY + Duration::from_secs(1);
        assert_eq!(step(&validity, now), Some(Duration::ZERO));
    }
}
