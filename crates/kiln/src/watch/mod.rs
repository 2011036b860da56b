//! A page of a run, served while it goes on: to this machine alone, and nothing but what is in the run's folder.

mod reading;

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kiln_core::{Error, Result};
use tiny_http::{Header, Method, Request, Response, ResponseBox, Server};

use crate::report::{Live, live_page, live_parts};
use crate::run::RunFolder;
use reading::{live, unreadable};

/// Readers at a time; more wait.
const THREADS: usize = 4;
/// So long what was read of the run is shown to all who ask.
const FRESH: Duration = Duration::from_millis(400);
const HTML: &str = "text/html; charset=utf-8";

/// A server of a run's page.
pub struct Watch {
    run: RunFolder,
    server: Server,
    shown: Mutex<Option<(Instant, Arc<Live>)>>,
}

impl Watch {
    /// On a port of this machine, 0 for any that is free.
    ///
    /// # Errors
    /// A port that is taken.
    pub fn open(run: RunFolder, port: u16) -> Result<Self> {
        let server = Server::http(("127.0.0.1", port)).map_err(|why| {
            let error = Error::input(format!("127.0.0.1:{port} cannot be served: {why}"));
            error.hint("name another port with `--port`; 0 is any that is free")
        })?;
        Ok(Self { run, server, shown: Mutex::default() })
    }

    /// Where the page is.
    pub fn address(&self) -> String {
        format!("http://{}/", self.server.server_addr())
    }

    /// Answers whoever asks, until the process ends.
    pub fn serve(&self) {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while let Ok(request) = self.server.recv() {
                        let answer = self.answer(&request);
                        // Whoever does not wait for the answer needs none.
                        let _ = request.respond(answer);
                    }
                });
            }
        });
    }

    fn answer(&self, request: &Request) -> ResponseBox {
        if *request.method() != Method::Get {
            return plain("only GET is answered here", 405).with_header(header("Allow", "GET")).boxed();
        }
        // A page of elsewhere whose name was made to lead here is told nothing.
        let asked = request.headers().iter().find(|header| header.field.equiv("Host"));
        let host = asked.map_or("", |header| header.value.as_str());
        if !["127.0.0.1", "localhost"].contains(&host.split(':').next().unwrap_or_default()) {
            return plain("this page is served to its own machine alone", 403).boxed();
        }
        match request.url().split('?').next().unwrap_or_default() {
            "/" => text(live_page(&self.live()), HTML).boxed(),
            "/parts" => text(live_parts(&self.live()), HTML).boxed(),
            path => match within(self.run.path(), path) {
                Some((file, kind)) => dressed(Response::from_file(file), kind).boxed(),
                None => plain("there is no such file in the run's folder", 404).boxed(),
            },
        }
    }

    /// What is on the disk, read again if it was read some time ago.
    fn live(&self) -> Arc<Live> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match shown.as_ref() {
            Some((read, live)) if read.elapsed() < FRESH => Arc::clone(live),
            _ => {
                let live = Arc::new(live(&self.run).unwrap_or_else(|error| unreadable(&self.run, &error)));
                *shown = Some((Instant::now(), Arc::clone(&live)));
                live
            }
        }
    }
}

/// A file in a folder and its media type, if the path names one: nothing above the folder, not by a link either.
fn within(folder: &Path, path: &str) -> Option<(File, &'static str)> {
    let relative = PathBuf::from(path.strip_prefix('/')?);
    let downwards = relative.components().all(|component| matches!(component, Component::Normal(_)));
    let file = folder.join(&relative).canonicalize().ok()?;
    if !downwards || !file.starts_with(folder.canonicalize().ok()?) || !file.is_file() {
        return None;
    }
    let kind = match file.extension()?.to_str()? {
        "html" => HTML,
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "json" | "jsonl" => "application/json",
        "csv" | "toml" | "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    Some((File::open(file).ok()?, kind))
}

fn text(text: String, kind: &str) -> Response<std::io::Cursor<Vec<u8>>> {
    dressed(Response::from_data(text), kind)
}

fn plain(line: &str, status: u16) -> Response<std::io::Cursor<Vec<u8>>> {
    text(format!("{line}\n"), "text/plain; charset=utf-8").with_status_code(status)
}

fn dressed<R: std::io::Read>(response: Response<R>, kind: &str) -> Response<R> {
    let headers =
        [("Content-Type", kind), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];
    headers.into_iter().fold(response, |response, (name, value)| response.with_header(header(name, value)))
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("names and values here are plain letters")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn files_of_the_folder_are_served_and_nothing_outside_it() {
        let house = tempfile::tempdir().unwrap();
        let run = house.path().join("run");
        std::fs::create_dir_all(run.join("inner")).unwrap();
        for file in ["run/report.html", "run/inner/a.png", "secret.txt", "run/odd%2e.svg"] {
            std::fs::write(house.path().join(file), "x").unwrap();
        }
        let kind = |path: &str| within(&run, path).map(|(_, kind)| kind);
        assert_eq!(kind("/report.html"), Some(HTML));
        assert_eq!(kind("/inner/a.png"), Some("image/png"));
        assert_eq!(kind("/odd%2e.svg"), Some("image/svg+xml"));
        let outside = house.path().join("secret.txt").display().to_string();
        let absolute = format!("/{outside}");
        for path in [
            "/../secret.txt",
            "/inner/../../secret.txt",
            "/inner/../report.html",
            "/%2e%2e/secret.txt",
            "//report.html",
            &outside,
            &absolute,
            "",
            "/",
            "/inner",
            "/absent.png",
            "/report.html/",
            "/./report.html",
            "/a\0b",
        ] {
            // What stays within the folder after all is no harm.
            let harmless = ["/report.html/", "/./report.html"].contains(&path);
            assert!(kind(path).is_none() || harmless, "{path}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(house.path().join("secret.txt"), run.join("link.txt")).unwrap();
            assert_eq!(kind("/link.txt"), None);
        }
    }
}
