//! Optimizers from the command line: races, the rate finder, groups of parameters.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use kiln::{Kiln, TINY};

const RACE: &str = "
[[race]]
name = \"Wild & <fast>\"
lr = 1e30
optimizer = { name = \"sgd\" }
[[race]]
name = \"Adam\"
lr = 1e-3
optimizer = { name = \"adam\" }
[[race]]
name = \"Lion, one cycle\"
lr = 3e-4
optimizer = { name = \"lion\" }
schedule = { name = \"one-cycle\" }
";

/// Its one line of error, on standard error.
fn refusal(kiln: &Kiln, arguments: &[&str]) -> String {
    let output = kiln.run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    said
}

#[test]
fn a_race_draws_and_tabulates_every_racer() {
    let kiln = Kiln::new();
    kiln.write("race.toml", format!("{TINY}{RACE}").as_bytes());
    let answer = kiln.json(&["race", "race.toml", "--run", "r", "--set", "train.epochs=1"]);
    let racers = answer["racers"].as_array().unwrap();
    assert_eq!(racers.len(), 3);
    // 96 images in batches of 16 are 6 steps. A rate of 1e30 ends in what is no number, and in the last place.
    let steps = |place: usize| racers[place]["steps"].as_u64().unwrap();
    assert_eq!((steps(0), steps(1)), (6, 6));
    assert_eq!(racers[2]["name"], "Wild & <fast>");
    assert!(racers[2]["fell"].as_str().unwrap().contains("not finite") && steps(2) < 6);
    assert!(racers[0]["test_loss"].as_f64().unwrap() <= racers[1]["test_loss"].as_f64().unwrap());

    let csv = kiln.read("r/race.csv");
    assert!(csv.starts_with("place,name,rate,train_loss,test_loss,accuracy,seconds\n1,"), "{csv}");
    assert_eq!((csv.lines().count(), csv.contains("\"Lion, one cycle\"")), (4, true));
    // The same weights and the same batch: the first loss is the same for all, the last one is not.
    let curves = kiln.read("r/curves.csv");
    let row = |step: usize| curves.lines().nth(step).unwrap().split(',').skip(1).collect::<Vec<_>>();
    assert_eq!((curves.lines().count(), row(0).len()), (7, 3));
    assert!(row(1).iter().all(|loss| *loss == row(1)[0]), "{curves}");
    assert_ne!(row(6)[0], row(6)[1]);
    let svg = kiln.read("r/race.svg");
    let picture = roxmltree::Document::parse(&svg).unwrap();
    let names = picture.descendants().filter(|node| node.attribute("class") == Some("name"));
    let names: Vec<_> = names.map(|node| node.text().unwrap()).collect();
    assert_eq!((names.len(), names[2]), (3, "Wild & <fast>"));
    // What was raced is written down, and nothing is left of the racers.
    assert!(kiln.read("r/resolved.json").contains("one-cycle"));
    let left: Vec<_> = kiln.files().into_iter().filter(|file| file.contains("checkpoints")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_race_that_makes_no_sense_is_one_line() {
    let kiln = Kiln::new();
    assert!(refusal(&kiln, &["race", "tiny.toml"]).contains("tiny.toml: has no `[[race]]`"));
    for (from, to, line) in [
        (
            "lr = 1e-3",
            "lr = -1",
            "race.toml: line 18, `race`: `Adam`: lr: -1 is no rate; give a number above 0",
        ),
        (
            "name = \"Adam\"",
            "name = \"lion one cycle\"",
            "`race`: there are two of the name `Lion, one cycle`",
        ),
        ("name = \"lion\"", "name = \"lino\"", "`lino` is not known here; did you mean `lion`?"),
        (
            "{ name = \"adam\" }",
            "{ name = \"adam\", beta = 0.9 }",
            "unknown key `beta`; did you mean `betas`?",
        ),
        ("{ name = \"adam\" }", "{ name = \"adam\", eps = -1 }", "`Adam`: optimizer.eps: -1 is out of range"),
    ] {
        assert!(RACE.contains(from));
        kiln.write("race.toml", format!("{TINY}{}", RACE.replace(from, to)).as_bytes());
        // `train --check` sees it too.
        for call in [["race", "race.toml"].as_slice(), &["train", "race.toml", "--check"]] {
            let said = refusal(&kiln, call);
            assert!(said.contains(line), "{said}");
        }
    }
}

#[test]
fn groups_are_checked_against_the_network_and_written_down() {
    let kiln = Kiln::new();
    let groups = |groups: &str| format!("optimizer.groups={groups}");
    let check = |set: &str| refusal(&kiln, &["train", "tiny.toml", "--check", "--set", set]);
    let line = check(&groups("[{ parameters = [\"layer4\"], rate = 0.1 }]"));
    assert!(
        line.contains("`layer4` matches none of the network's parameters; did you mean `layer"),
        "{line}"
    );
    let line = check(&groups("[{ parameter = [\"fc\"] }]"));
    assert!(line.contains("unknown key `parameter`; did you mean `parameters`?"), "{line}");
    let line = check("optimizer.group=[]");
    assert!(line.contains("unknown key `group`; did you mean `groups`?"), "{line}");
    let line = check("optimizer.layer_decay={ factor = 2 }");
    assert!(line.ends_with("2 is out of range; above 0, at most 1\n"), "{line}");

    let frozen = groups("[{ parameters = [\"conv1\", \"bn1\", \"layer1\"], frozen = true }]");
    let sets =
        ["--set", &frozen, "--set", "optimizer.layer_decay={ factor = 0.5 }", "--set", "train.epochs=1"];
    kiln.json(&[&["train", "tiny.toml", "--run", "a"], &sets[..]].concat());
    let resolved = kiln.read("a/resolved.json");
    assert!(resolved.contains("layer_decay") && resolved.contains("\"frozen\": true"), "{resolved}");
    // Written down, it is an experiment again.
    kiln.json(&["train", "a/resolved.json", "--run", "b"]);
    assert_eq!(kiln.read("a/metrics.csv"), kiln.read("b/metrics.csv"));
}

#[test]
fn a_rate_is_found() {
    let kiln = Kiln::new();
    let found = kiln.json(&["lr-find", "tiny.toml", "--steps", "40", "--from", "1e-4", "--out", "f.svg"]);
    let points = found["points"].as_array().unwrap();
    assert!(points.len() >= 10 && points.len() <= 40);
    let (first, last) =
        (points[0]["rate"].as_f64().unwrap(), points[points.len() - 1]["rate"].as_f64().unwrap());
    assert!((first / 1e-4 - 1.0).abs() < 1e-12 && last <= 10.0 * (1.0 + 1e-12));
    let suggestion = found["suggestion"].as_f64().unwrap();
    assert!(suggestion > first && suggestion < found["lowest"].as_f64().unwrap());
    roxmltree::Document::parse(&kiln.read("f.svg")).unwrap();
    let wrong = refusal(&kiln, &["lr-find", "tiny.toml", "--from", "1", "--to", "0.1"]);
    assert!(wrong.contains("1 to 0.1 is no range of rates; as 1e-6 to 10"), "{wrong}");
}
