//! The page of a run that goes on, as a program reads it and as a browser shows it.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod kiln;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kiln::Kiln;

/// Seconds of training: 20 steps an epoch, 80 in all.
const RUN: [&str; 10] = [
    "train",
    "tiny.toml",
    "--run",
    "runs/r",
    "--set",
    "data.train_items=320",
    "--set",
    "train.epochs=4",
    "--set",
    "data.test_items=40",
];
const PATIENCE: Duration = Duration::from_secs(150);

/// A process that ends with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A run that has begun, and the address of its page.
fn watched(kiln: &Kiln, more: &[&str]) -> (Process, Process, String) {
    let run = Process(kiln.start(&[&RUN[..], more].concat()));
    let began = Instant::now();
    while !kiln.path("runs/r/log.txt").exists() {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(5));
    }
    // Without a name: the newest run is the only one.
    let (server, address) = kiln.serve(&["watch"]);
    assert!(address.starts_with("http://127.0.0.1:") && address.ends_with('/'), "{address}");
    (run, Process(server), address)
}

/// Status and body of what a server answers to a request of these words.
fn asked(address: &str, method: &str, path: &str, host: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://").trim_end_matches('/')).unwrap();
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

fn get(address: &str, path: &str) -> String {
    let (status, body) = asked(address, "GET", path, "127.0.0.1");
    assert_eq!(status, 200, "{path}");
    String::from_utf8(body).unwrap()
}

/// What a tile says: `Step` is `12 of 80`.
fn tile<'a>(html: &'a str, name: &str) -> &'a str {
    let mark = format!("<dt>{name}</dt><dd>");
    html.split_once(&mark).unwrap_or_else(|| panic!("{name}: {html}")).1.split_once('<').unwrap().0
}

fn step(html: &str) -> usize {
    tile(html, "Step").split(' ').next().unwrap().parse().unwrap()
}

/// Whether the run runs, in a word or some.
fn state(html: &str) -> &str {
    html.split_once("<p class=\"state ").unwrap().1.split_once("<b>").unwrap().1.split_once('<').unwrap().0
}

/// What was seen of a run until it was over.
fn followed(address: &str) -> (Vec<usize>, Vec<String>, String) {
    let (mut steps, mut states) = (Vec::new(), Vec::new());
    let began = Instant::now();
    loop {
        let parts = get(address, "/parts");
        assert!(began.elapsed() < PATIENCE, "{parts}");
        steps.push(step(&parts));
        if states.last().is_none_or(|last| last != state(&parts)) {
            states.push(state(&parts).to_string());
        }
        if state(&parts) == "Finished" {
            return (steps, states, parts);
        }
        sleep(Duration::from_millis(150));
    }
}

#[test]
fn a_run_is_followed_to_its_end_by_several_and_nothing_else_is_shown() {
    let kiln = Kiln::new();
    let (mut run, _server, address) = watched(&kiln, &[]);
    let page = get(&address, "/");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("setTimeout(renew"));
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    roxmltree::Document::parse_with_options(&page, options).expect("the page is well-formed");

    let seen = std::thread::scope(|scope| {
        let viewers = [0, 1, 2].map(|_| scope.spawn(|| followed(&address)));
        viewers.map(|viewer| viewer.join().unwrap())
    });
    for (mut steps, states, last) in seen {
        assert!(steps.is_sorted(), "{steps:?}");
        steps.dedup();
        let between = steps.iter().filter(|step| (1..80).contains(*step)).count();
        assert!(between >= 2, "{steps:?}");
        assert!(states.contains(&"Running".to_string()), "{states:?}");
        assert_eq!((tile(&last, "Epoch"), tile(&last, "Step")), ("4 of 4", "80 of 80"));
        assert!(last.contains("<h2>Where the time went</h2>") && last.contains("finished; best was epoch"));
        assert!(last.contains("<a href=\"report.html\">"));
    }
    assert!(run.0.wait().unwrap().success());

    // A row of times an epoch; all its steps and 320 images are in it, and it took time to go forward and to test.
    let times = kiln.read("runs/r/times.csv");
    let rows: Vec<Vec<f64>> =
        times.lines().skip(1).map(|row| row.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
    assert_eq!(rows.len(), 4, "{times}");
    for (epoch, row) in rows.iter().enumerate() {
        let done = epoch as f64 + 1.0;
        assert_eq!(row[..3], [20.0 * done, done, 320.0], "{times}");
        assert!(row[4] > 0.0 && row[5] > 0.0 && row[9] > 0.0, "{times}");
    }
    let report = kiln.read("runs/r/report.html");
    assert!(report.contains("<h2>Where the time went</h2>") && !report.contains("<script"));

    assert_eq!(get(&address, "/report.html"), report);
    assert_eq!(get(&address, "/metrics.csv?now"), kiln.read("runs/r/metrics.csv"));
    for path in ["/absent", "/../../tiny.toml", "/..%2f..%2ftiny.toml", "//etc/passwd", "/checkpoints", "/"] {
        let (method, status) = if path == "/" { ("POST", 405) } else { ("GET", 404) };
        assert_eq!(asked(&address, method, path, "localhost:1").0, status, "{path}");
    }
    assert_eq!(asked(&address, "GET", "/", "elsewhere.example").0, 403);
    let port = address.trim_end_matches('/').rsplit_once(':').unwrap().1;
    let taken = kiln.run(&["watch", "runs/r", "--port", port]);
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert_eq!((taken.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    let none = kiln.run(&["watch", "configs"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("holds no run"));
}

/// The page as a browser has it after some time, of which none need pass.
fn browsed(browser: &str, address: &str, seconds: u32) -> String {
    let budget = format!("--virtual-time-budget={}", 1000 * seconds);
    let profile = tempfile::tempdir().unwrap();
    let profile = format!("--user-data-dir={}", profile.path().display());
    let arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", &budget, &profile, address];
    let output = Command::new(browser).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_browser_shows_how_a_run_goes_on_and_that_it_was_killed() {
    let works = |browser: &&str| Command::new(browser).arg("--version").output().is_ok();
    let Some(browser) = ["chromium", "google-chrome", "chromium-browser"].into_iter().find(works) else {
        println!("skipped: there is no chromium or google-chrome");
        return;
    };
    let kiln = Kiln::new();
    let (mut run, mut server, address) = watched(&kiln, &["--set", "train.epochs=400"]);
    let began = Instant::now();
    while step(&get(&address, "/parts")) == 0 {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(50));
    }
    let renewed = |page: &str| {
        let count = page.split_once("data-renewed=\"").map(|(_, rest)| rest.split_once('"').unwrap().0);
        count.map_or(0, |count| count.parse::<usize>().unwrap())
    };
    let gone = |page: &str| {
        let notice = page.split_once("id=\"gone\"").unwrap().1;
        !notice.split_once('>').unwrap().0.contains("hidden")
    };
    let before = step(&get(&address, "/parts"));
    let page = browsed(browser, &address, 600);
    // What the script put there is what was newest: later than before, and not later than now.
    assert!(renewed(&page) >= 2, "{page}");
    assert!(
        step(&page) > before && step(&page) <= step(&get(&address, "/parts")),
        "{before}, {}",
        step(&page)
    );
    // Between two epochs it is being tried.
    assert!(["Running", "Testing"].contains(&state(&page)) && !gone(&page), "{}", state(&page));

    run.0.kill().unwrap();
    run.0.wait().unwrap();
    sleep(Duration::from_millis(500));
    let page = browsed(browser, &address, 10);
    assert_eq!((state(&page), gone(&page), renewed(&page)), ("Killed or failed", false, 0));

    // The same page from a server that gives nothing else: the script says so.
    let page = get(&address, "/");
    server.0.kill().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut words = [0; 2048];
            let count = stream.read(&mut words).unwrap_or(0);
            if words[..count].starts_with(b"GET / ") {
                let head = format!(
                    "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
                    page.len()
                );
                let _ = stream.write_all((head + &page).as_bytes());
            }
        }
    });
    assert!(gone(&browsed(browser, &address, 10)));
}
