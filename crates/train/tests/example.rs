//! `examples/custom_task.rs`, which a user reads first: it is short, and it learns.

use std::process::Command;

#[test]
fn a_task_of_ones_own_is_sixty_lines_and_learns() {
    let text = include_str!("../examples/custom_task.rs");
    assert!(text.lines().count() <= 60, "{} lines", text.lines().count());
    // Cargo builds a package's examples before its tests, beside them.
    let tests = std::env::current_exe().expect("this test");
    let program = tests.with_file_name("../examples/custom_task");
    let run = tempfile::tempdir().expect("a folder");
    let output = Command::new(program).arg(run.path()).output().expect("the example");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metrics = std::fs::read_to_string(run.path().join("metrics.csv")).expect("metrics");
    let last = metrics.lines().last().expect("rows");
    let near: f64 = last.rsplit(',').next().expect("a figure").parse().expect("a number");
    // The mean of the pixels is a linear function, so that it can be learned perfectly.
    assert!(metrics.starts_with("epoch,step,rate,train_loss,test_loss,near\n") && near > 0.95, "{metrics}");
}
