//! `examples/custom_task.rs`, which a user reads first: it is short, and it learns.

// The example's `main` is not called here.
#[allow(dead_code, missing_docs)]
#[path = "../examples/custom_task.rs"]
mod custom_task;

#[test]
fn a_task_of_ones_own_is_sixty_lines_and_learns() {
    let text = include_str!("../examples/custom_task.rs");
    assert!(text.lines().count() <= 60, "{} lines", text.lines().count());
    let run = tempfile::tempdir().expect("a folder");
    let path = run.path().to_str().expect("a name in UTF-8");
    let fit = custom_task::train(path).expect("a run");
    // The mean of the pixels is a linear function of them, so that it can be learned perfectly.
    let best = fit.best().expect("epochs");
    assert!(best.figures[0].1 > 0.95, "{best:?}");
    let metrics = std::fs::read_to_string(run.path().join("metrics.csv")).expect("metrics");
    assert!(metrics.starts_with("epoch,step,rate,train_loss,test_loss,near\n"), "{metrics}");
    assert_eq!(metrics.lines().count(), 21);
}
