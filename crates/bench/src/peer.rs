//! The other side: a Python process that runs `peer.py` and answers line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use kiln_core::{Error, Result};
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("../peer.py");

/// How images and weights lie in PyTorch's memory.
pub const LAYOUTS: [&str; 2] = ["default", "channels-last"];

/// What PyTorch's threads do between two pieces of work.
///
/// Which is faster depends on the work and on what else runs on the machine: a thread that sleeps is woken late, and
/// oneDNN's barriers then wait for it, up to a tick of the scheduler; threads that spin take the cores from each other
/// as soon as there are fewer cores than threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// They look for work for a few milliseconds: OpenMP's default.
    Spinning,
    /// They sleep at once.
    Asleep,
}

impl Waiting {
    /// As it is said in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spinning => "spinning",
            Self::Asleep => "asleep",
        }
    }
}

/// A Python with PyTorch.
pub struct Peer {
    python: PathBuf,
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// PyTorch's version.
    pub torch: String,
    /// Whether ONNX Runtime is there as well.
    pub has_onnxruntime: bool,
}

impl Peer {
    /// Starts it.
    ///
    /// # Errors
    /// A program that is not there, is no Python, or has no PyTorch.
    pub fn start(python: &Path, threads: usize, waiting: Waiting) -> Result<Self> {
        let mut command = Command::new(python);
        command.args(["-W", "ignore", "-c", SCRIPT]).arg(threads.to_string());
        if waiting == Waiting::Asleep {
            command.env("OMP_WAIT_POLICY", "PASSIVE").env("GOMP_SPINCOUNT", "0");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(|why| match why.kind() {
            std::io::ErrorKind::NotFound => Error::unreadable(python, &why),
            _ => Error::input(format!("cannot be started: {why}")).file(python),
        })?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Error::failure("its input and output are not connected").file(python));
        };
        let (python, answers) = (python.to_path_buf(), BufReader::new(answers));
        let mut peer =
            Self { python, process, requests, answers, torch: String::new(), has_onnxruntime: false };
        let wanted = "give a Python with torch and torchvision";
        let Some(hello) = peer.answer() else {
            return Err(Error::input("does not run as a Python").file(&peer.python).hint(wanted));
        };
        if let Some(why) = hello["error"].as_str() {
            return Err(Error::input(why).file(&peer.python).hint(wanted));
        }
        peer.torch = hello["torch"].as_str().unwrap_or_default().to_string();
        peer.has_onnxruntime = hello["onnxruntime"] == true;
        Ok(peer)
    }

    /// Asks for something and waits for the answer.
    ///
    /// # Errors
    /// What went wrong there.
    pub fn ask(&mut self, request: &Value) -> Result<Value> {
        // A process that is gone gives no answer.
        writeln!(self.requests, "{request}").and_then(|()| self.requests.flush()).ok();
        let answer = self.answer().unwrap_or_else(|| json!({"error": "ended without an answer"}));
        match answer["error"].as_str() {
            Some(why) => Err(Error::failure(why).file(&self.python).place(request.to_string())),
            None => Ok(answer),
        }
    }

    /// Prepares work and says how many learnable parameters it has, if it is a network.
    pub fn prepare(&mut self, request: &Value, layout: &str) -> Result<Option<usize>> {
        let mut request = request.clone();
        request["layout"] = layout.into();
        Ok(self.ask(&request)?["parameters"].as_u64().map(|count| count as usize))
    }

    /// Milliseconds of one step, the mean of `times`.
    pub fn step(&mut self, times: usize) -> Result<f64> {
        self.number(&json!({"do": "step", "times": times}), "ms")
    }

    /// Whether what the last step gave is made of numbers.
    pub fn is_finite(&mut self) -> Result<bool> {
        Ok(self.ask(&json!({"do": "finite"}))?["finite"] == true)
    }

    /// The answer's number of that name.
    pub fn number(&mut self, request: &Value, name: &str) -> Result<f64> {
        let answer = self.ask(request)?;
        answer[name]
            .as_f64()
            .ok_or_else(|| Error::failure(format!("answered {answer} to {request}")).file(&self.python))
    }

    fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
