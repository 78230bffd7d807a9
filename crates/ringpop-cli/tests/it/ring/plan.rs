use super::{json, number, run_with, text};

#[tokio::test]
async fn a_plan_keeps_its_promise() {
    for (peak, backends) in [("1.10", "100"), ("1.25", "10"), ("1.5", "1000")] {
        let plan = json(&["plan", "--target-peak", peak, "--backends", backends, "--json"]).await;
        let (target, expected) = (number(&plan, "target_peak"), number(&plan, "expected_peak"));
        assert!(expected <= target + 1e-9, "{plan}");
        // One ring is not the mean of many.
        let excess = number(&plan, "sample_peak") - 1.0;
        assert!(excess < 1.5 * (target - 1.0), "{plan}");
        let points = number(&plan, "points_per_weight_unit") * number(&plan, "backends");
        assert_eq!(points, number(&plan, "points"), "{plan}");
        assert_eq!(number(&plan, "memory_bytes_max"), 20.0 * points, "{plan}");
    }
}

#[tokio::test]
async fn the_lightest_backend_decides() {
    let plan = async |weights: &str| {
        let plan = ["plan", "--target-peak", "1.1", "--backends", "10", "--json", "--weights"];
        json(&[&plan[..], &[weights]].concat()).await
    };
    let ones = number(&plan("1").await, "points_per_weight_unit");
    assert_eq!(number(&plan("1,4").await, "points_per_weight_unit"), ones);
    assert_eq!(number(&plan("4,2").await, "points_per_weight_unit"), ones / 2.0);
    assert_eq!(number(&plan("1,4,4").await, "total_weight"), 28.0);
    // A backend that owns nothing cannot be the busiest.
    let some = plan("1,0").await;
    assert_eq!(number(&some, "total_weight"), 5.0);
    assert!(number(&some, "points_per_weight_unit") < ones, "{some}");
}

#[tokio::test]
async fn people_get_lines() {
    let expected = "\
points per weight unit  729
points of the ring      72,900
expected peak           1.100 times the fair share
peak of a sample ring   1.073
memory at most          1.46 MB
";
    assert_eq!(text(&["plan", "--target-peak", "1.10", "--backends", "100"]).await, expected);
    let large = text(&["plan", "--target-peak", "1.01", "--backends", "1000"]).await;
    assert!(large.contains("122,500,000") && large.contains("max_points"), "{large}");
    assert!(!large.contains("sample"), "{large}");
}

/// Each placement says what it takes, and a sample of it keeps what was promised.
#[tokio::test]
async fn placements_are_compared() {
    const ALL: &str = "ring,local-rendezvous,rendezvous,maglev,jump,spread-minimizing";
    let plan = ["plan", "--target-peak", "1.05", "--backends", "50", "--placement", ALL];
    for weights in ["1", "1,2,3"] {
        let arguments = [&plan[..], &["--weights", weights]].concat();
        let plans = json(&[&arguments[..], &["--json"]].concat()).await;
        let plans = plans.as_array().expect("several are a list");
        let names: Vec<_> = plans.iter().map(|plan| plan["placement"].as_str().unwrap()).collect();
        assert_eq!(names.join(","), ALL);
        for plan in plans {
            assert!(number(plan, "expected_peak") <= 1.05 + 1e-9, "{plan}");
            // One sample of the random ones is not the mean of many.
            let is_random = plan["points_per_weight_unit"].is_number();
            let bound = if is_random { 1.08 } else { 1.05 };
            assert!(number(plan, "sample_peak") <= bound, "{plan}");
        }
        let points = |i: usize| number(&plans[i], "points_per_weight_unit");
        assert!(points(1) < points(0) / 10.0, "local rendezvous takes fewer");
        let table = text(&arguments).await;
        assert_eq!(table.lines().count(), 7, "{table}");
    }
    let one = [&plan[..5], &["--placement", "rendezvous"]].concat();
    let expected = "\
placement              rendezvous
expected peak          1.000 times the fair share
peak of a sample ring  1.000
memory at most         0.00 MB
";
    assert_eq!(text(&one).await, expected);
}

#[tokio::test]
async fn a_peak_that_a_placement_cannot_keep_is_refused() {
    for (placement, words) in [
        ("ring", "points that a ring can have"),
        ("local-rendezvous", "points that a ring can have"),
        ("spread-minimizing", "points of a number"),
        ("maglev", "entries that a table can have"),
    ] {
        let plan = ["plan", "--target-peak", "1.0000001", "--backends", "100", "--placement"];
        let output = run_with(&[&plan[..], &[placement]].concat(), b"").await;
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{placement}: {stderr}");
        assert!(stderr.contains(words), "{placement}: {stderr}");
    }
}
