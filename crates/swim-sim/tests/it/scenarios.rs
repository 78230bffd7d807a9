//! Every scenario at a small size: it comes to its end, the cluster to one
//! view, and nobody is accused without a reason.

use swim_core::Config;
use swim_sim::scenario::{self, Outcome, Params, Scenario};
use swim_sim::{Swim, seconds};

fn play(scenario: &Scenario, params: &Params) -> Outcome {
    scenario::run::<Swim>(scenario, params, &mut |_| {})
}

/// The values of a metric; none when the scenario does not have it.
fn values<'a>(outcome: &'a Outcome, name: &str) -> &'a [f64] {
    let metric = outcome.metrics.iter().find(|metric| metric.name == name);
    metric.map_or(&[], |metric| &metric.values)
}

#[test]
fn every_scenario_ends_with_one_view() {
    let params = Params { nodes: 12, repeat: 2, ..Params::default() };
    for scenario in scenario::all() {
        let outcome = play(scenario, &params);
        let never = values(&outcome, "views that never agreed");
        assert!(!never.is_empty(), "{}", scenario.name);
        assert!(never.iter().all(|count| *count == 0.0), "{}: {never:?}", scenario.name);
        assert!(!values(&outcome, "messages").is_empty(), "{}", scenario.name);
    }
}

#[test]
fn nobody_is_accused_wrongly_when_its_predecessor_is_found_dead() {
    let params = Params { nodes: 50, repeat: 2, ..Params::default() };
    let outcome = play(scenario::find("churn").expect("it is listed"), &params);
    assert_eq!(values(&outcome, "false positives"), [0.0, 0.0]);
}

#[test]
fn a_crash_is_detected_by_all_in_the_time_that_the_settings_give() {
    let params = Params { nodes: 20, repeat: 5, config: Config::local(), ..Params::default() };
    for name in ["crash", "mass-crash"] {
        let outcome = play(scenario::find(name).expect("it is listed"), &params);
        assert!(values(&outcome, "not detected").iter().all(|pairs| *pairs == 0.0), "{name}");
        assert!(values(&outcome, "false positives").iter().all(|events| *events == 0.0), "{name}");
        let first = values(&outcome, "first detection");
        let last = values(&outcome, "last detection");
        assert!(first.len() >= 5 && first.len() == last.len());
        // The suspicion lasts 2.6 s at least and six times that at most.
        assert!(first.iter().all(|time| *time > 2.5), "{first:?}");
        assert!(last.iter().all(|time| *time < 25.0), "{last:?}");
        let (_, end) = outcome.curves[0].points.last().copied().expect("a curve has points");
        assert!((end - 1.0).abs() < 1e-9, "all observers know in the end");
    }
}

#[test]
fn equal_parameters_give_equal_numbers_and_other_seeds_do_not() {
    let params = Params { nodes: 10, repeat: 1, loss: 0.05, ..Params::default() };
    let crash = scenario::find("crash").expect("it is listed");
    let first = play(crash, &params);
    assert_eq!(first, play(crash, &params));
    assert_ne!(first, play(crash, &Params { seed: 99, ..params }));
}

#[test]
fn virtual_time_is_told_in_seconds() {
    assert!((seconds(1_500_000_000) - 1.5).abs() < 1e-12);
    assert!(scenario::find("nonsense").is_none());
}
