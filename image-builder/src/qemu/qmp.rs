//! QEMU's control language (QMP) over the emulator's standard input and output.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::QemuError;

/// What QEMU tells without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The machine ended.
    Shutdown(Cause),
    /// The machine stands still: the accelerator gave up.
    Stop,
}

/// What ended a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The guest powered itself off.
    PowerOff,
    /// Somebody sent QEMU a signal.
    Signal,
    /// A reset, a crash.
    Other,
}

/// A conversation.
#[derive(Debug)]
pub(crate) struct Qmp {
    input: ChildStdin,
    lines: Receiver<Value>,
    events: Vec<Event>,
}

/// How long QEMU may take to answer: it answers at once, or hangs.
const PATIENCE: Duration = Duration::from_secs(30);

impl Qmp {
    /// Begins.
    pub(crate) fn start(input: ChildStdin, output: ChildStdout) -> Qmp {
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { break };
                // What is no JSON is QEMU's talk on the same pipe; nothing of it is an answer.
                if let Ok(value) = serde_json::from_str(&line)
                    && tell.send(value).is_err()
                {
                    break;
                }
            }
        });
        Qmp { input, lines, events: Vec::new() }
    }

    /// Leaves the negotiation; needed once before any other command.
    pub(crate) fn greet(&mut self) -> Result<(), QemuError> {
        self.ask("qmp_capabilities", json!({})).map(|_| ())
    }

    /// Runs one command.
    pub(crate) fn ask(&mut self, command: &str, arguments: Value) -> Result<Value, QemuError> {
        let refuse = |answer: String| QemuError::Control { command: command.into(), answer };
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.input.write_all(line.as_bytes()).map_err(QemuError::io("talking to QEMU"))?;
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let value = match self.lines.recv_timeout(left) {
                Ok(value) => value,
                Err(RecvTimeoutError::Timeout) => return Err(refuse("no answer".into())),
                Err(RecvTimeoutError::Disconnected) => return Err(refuse("QEMU has ended".into())),
            };
            if let Some(answer) = value.get("return") {
                return Ok(answer.clone());
            }
            if let Some(error) = value.get("error") {
                let words = error.get("desc").and_then(Value::as_str).unwrap_or("an error without words");
                return Err(refuse(words.into()));
            }
            self.events.extend(event(&value));
        }
    }

    /// The next event, waiting this long for it.
    pub(crate) fn event(&mut self, patience: Duration) -> Option<Event> {
        if !self.events.is_empty() {
            return Some(self.events.remove(0));
        }
        let end = Instant::now() + patience;
        loop {
            let value = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())).ok()?;
            if let Some(event) = event(&value) {
                return Some(event);
            }
        }
    }
}

fn event(value: &Value) -> Option<Event> {
    match value.get("event")?.as_str()? {
        "SHUTDOWN" => Some(Event::Shutdown(match value.pointer("/data/reason").and_then(Value::as_str) {
            Some("guest-shutdown") => Cause::PowerOff,
            Some("host-signal") => Cause::Signal,
            _ => Cause::Other,
        })),
        "STOP" => Some(Event::Stop),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_power_off_from_inside_counts_as_one() {
        let told = |reason: &str| event(&json!({ "event": "SHUTDOWN", "data": { "guest": true, "reason": reason } }));
        assert_eq!(told("guest-shutdown"), Some(Event::Shutdown(Cause::PowerOff)));
        assert_eq!(told("guest-reset"), Some(Event::Shutdown(Cause::Other)));
        assert_eq!(event(&json!({ "event": "RTC_CHANGE" })), None);
    }
}
