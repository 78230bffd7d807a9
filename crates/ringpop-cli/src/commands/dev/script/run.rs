//! A script at work.

use tokio::time::Instant;

use super::super::Dev;
use super::super::action::Action;
use super::super::event::DevEvent;
use super::{Members, Step, Steps};

/// A script, and how far it is.
#[derive(Debug)]
pub(in super::super) struct Script {
    steps: Vec<(String, Step)>,
    next: usize,
    /// When the step that is not done yet was begun.
    begun: Option<Begun>,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Instant,
    /// Requests that were answered by then.
    answered: u64,
}

/// How a step is.
enum Outcome {
    Done,
    /// Not yet; the text says why.
    Missing(String),
    Failed(String),
}

impl Script {
    pub(in super::super) fn new(steps: Steps) -> Self {
        Self { steps: steps.steps, next: 0, begun: None }
    }
}

impl Dev {
    /// Goes on with a script as far as that is possible now. `Some` when it is over, with what went
    /// wrong if anything did.
    pub(in super::super) fn run_script(&mut self) -> Option<Result<(), String>> {
        let mut script = self.script.take()?;
        let over = self.go_on(&mut script);
        if over.is_none() {
            self.script = Some(script);
        }
        over
    }

    fn go_on(&mut self, script: &mut Script) -> Option<Result<(), String>> {
        // What a member was asked to do is done first.
        while self.asked == 0 {
            if let Some(reason) = self.refused.take() {
                let last = script.next.saturating_sub(1);
                let label = script.steps.get(last).map_or("", |(label, _)| label.as_str());
                return Some(Err(format!("step {} ({label}) failed: {reason}", last + 1)));
            }
            let Some((label, step)) = script.steps.get(script.next).cloned() else {
                return Some(Ok(()));
            };
            let number = script.next + 1;
            let answered = self.load.total().answered;
            let is_new = script.begun.is_none();
            let begun = *script.begun.get_or_insert(Begun { at: Instant::now(), answered });
            match self.step(&step, begun, is_new) {
                Outcome::Done => {
                    let elapsed_ms = begun.at.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
                    self.tell(&DevEvent::Step { number, step: label, elapsed_ms });
                    script.next += 1;
                    script.begun = None;
                }
                Outcome::Missing(missing) => {
                    let limit = step.within()?;
                    if begun.at.elapsed() < limit {
                        return None;
                    }
                    let limit = humantime::format_duration(limit);
                    return Some(Err(format!(
                        "step {number} ({label}) failed: not within {limit}: {missing}"
                    )));
                }
                Outcome::Failed(reason) => {
                    return Some(Err(format!("step {number} ({label}) failed: {reason}")));
                }
            }
        }
        None
    }

    fn step(&mut self, step: &Step, begun: Begun, is_new: bool) -> Outcome {
        let converged = |missing: Option<String>| missing.map_or(Outcome::Done, Outcome::Missing);
        match step {
            Step::Kill(members) => self.each(members, Action::Kill),
            Step::Stop(members) => self.each(members, Action::Stop),
            Step::Suspend(members) => self.each(members, Action::Suspend),
            Step::Revive(members) => self.each(members, Action::Revive),
            Step::Restart(members) => self.each(members, Action::Restart),
            Step::Leave(members) => self.each(members, Action::Leave),
            Step::Join(members) => self.each(members, Action::Join),
            Step::Evict(members) => self.each(members, Action::Evict),
            Step::UndoEvict(members) => self.each(members, Action::UndoEvict),
            Step::Partition(groups) => self.one(&Action::Partition(groups.clone())),
            Step::Restore => self.one(&Action::Restore),
            Step::Load(rate) => self.one(&Action::Load(*rate)),
            Step::Add(count) => {
                let failed = (0..*count).find_map(|_| self.act(&Action::Add).err());
                failed.map_or(Outcome::Done, Outcome::Failed)
            }
            Step::RollingRestart(_) => {
                if is_new {
                    return match self.act(&Action::RollingRestart) {
                        Ok(()) => Outcome::Missing("it has begun".to_owned()),
                        Err(reason) => Outcome::Failed(reason),
                    };
                }
                if self.rolling.is_empty() && self.restarting.is_empty() {
                    return converged(self.cluster.missing_agreement(None));
                }
                Outcome::Missing(format!("{} members are not restarted yet", self.rolling.len()))
            }
            Step::Converge(wanted) => converged(self.cluster.missing_agreement(wanted.members)),
            Step::Views(wanted) => converged(self.cluster.missing_views(wanted.count)),
            Step::Status(wanted) => {
                converged(self.cluster.missing_status(wanted.of, wanted.is.as_str()))
            }
            Step::Requests(wanted) => {
                let answered = self.load.total().answered - begun.answered;
                let missing = answered < wanted.count;
                converged(missing.then(|| format!("{answered} are answered")))
            }
            Step::Success(wanted) => self.check_success(wanted),
            Step::Wait(time) => {
                converged((begun.at.elapsed() < *time).then(|| "it is not over".to_owned()))
            }
        }
    }

    fn one(&mut self, action: &Action) -> Outcome {
        self.act(action).map_or_else(Outcome::Failed, |()| Outcome::Done)
    }

    fn each(&mut self, members: &Members, action: fn(usize) -> Action) -> Outcome {
        let members = members.list();
        let failed = members.into_iter().find_map(|member| self.act(&action(member)).err());
        failed.map_or(Outcome::Done, Outcome::Failed)
    }

    fn check_success(&self, wanted: &super::Success) -> Outcome {
        let total = self.load.total();
        let p99 = std::time::Duration::from_micros(total.p99_us);
        if total.answered + total.failed == 0 {
            return Outcome::Failed("no request was sent: begin with `load`".to_owned());
        }
        if total.success_percent < wanted.percent {
            let failure = total.failure.unwrap_or_default();
            return Outcome::Failed(format!(
                "{:.3} % of {} requests were answered; the last failure was {failure}",
                total.success_percent,
                total.answered + total.failed
            ));
        }
        match (wanted.p99.filter(|limit| p99 > *limit), wanted.hops) {
            (Some(_), _) => Outcome::Failed(format!("99 % of the requests took up to {p99:?}")),
            (None, Some(limit)) if total.hops > limit => {
                Outcome::Failed(format!("requests took {:.2} hops in the mean", total.hops))
            }
            _ => Outcome::Done,
        }
    }
}

impl Step {
    /// How long the step may take; `None` when it takes a time of its own.
    const fn within(&self) -> Option<std::time::Duration> {
        match self {
            Self::RollingRestart(wanted) => Some(wanted.within),
            Self::Converge(wanted) => Some(wanted.within),
            Self::Views(wanted) => Some(wanted.within),
            Self::Status(wanted) => Some(wanted.within),
            Self::Requests(wanted) => Some(wanted.within),
            _ => None,
        }
    }
}
