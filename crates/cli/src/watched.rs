//! Long work that nobody may be looking at: what it does goes to a file or a serial line as JSON lines as well, and when nothing has moved
//! for a while, both are told what is waited for.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use cairn_process::{Report, running_children};
use serde_json::{Value, json};

use crate::pace::Pace;
use crate::terminal::event;

/// When it is told that nothing moves.
const STALLED: Duration = Duration::from_secs(20);
/// How often somebody looks.
const LOOK: Duration = Duration::from_secs(1);

/// What moves, and since when nothing did.
#[derive(Debug)]
struct Motion {
    phase: String,
    done: u64,
    total: Option<u64>,
    told: u64,
    since: Instant,
    stalled: bool,
    pace: Pace,
}

impl Motion {
    fn begin(name: &str, total: Option<u64>, now: Instant) -> Motion {
        Motion {
            phase: name.to_string(),
            done: 0,
            total,
            told: 0,
            since: now,
            stalled: false,
            pace: Pace::begin(total, now),
        }
    }

    /// More is done; what to tell of it: every hundredth part.
    fn advance(&mut self, steps: u64, now: Instant) -> Option<(u64, u64)> {
        (self.since, self.stalled) = (now, false);
        self.pace.advance(steps, now);
        self.done = self.done.saturating_add(steps);
        let total = self.total.filter(|total| *total > 0)?;
        let due = self.done - self.told >= total.div_ceil(100) || (self.done >= total && self.told < total);
        due.then(|| {
            self.told = self.done;
            (self.done, total)
        })
    }

    /// For how long nothing has moved, if that is worth a word and was not told yet.
    fn stalls(&mut self, now: Instant) -> Option<Duration> {
        let still = now.saturating_duration_since(self.since);
        (!self.stalled && still >= STALLED).then(|| {
            self.stalled = true;
            still
        })
    }
}

/// A report that is passed on, written down and watched.
pub struct Watched<'r> {
    report: &'r dyn Report,
    lines: Option<Mutex<File>>,
    motion: Mutex<Option<Motion>>,
    /// The last phase that has begun: where it fails, this has.
    step: Mutex<Option<String>>,
}

impl<'r> Watched<'r> {
    /// Passes on to a report, and writes JSON lines to a file or terminal line, if one is named.
    pub fn new(report: &'r dyn Report, lines: Option<&Path>) -> anyhow::Result<Watched<'r>> {
        let open = |path: &Path| {
            // A serial line does not become the terminal of this process.
            let flags = nix::fcntl::OFlag::O_NOCTTY.bits();
            let file = OpenOptions::new().append(true).create(true).custom_flags(flags).open(path);
            file.map(Mutex::new).with_context(|| format!("opening {}", path.display()))
        };
        Ok(Watched { report, lines: lines.map(open).transpose()?, motion: Mutex::default(), step: Mutex::default() })
    }

    /// Does something, while somebody looks whether it moves.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let (done, ended) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) {
                    self.look(Instant::now());
                }
            });
            let result = work();
            drop(done);
            result
        })
    }

    /// Writes a line.
    pub fn tell(&self, name: &str, fields: Value) {
        if let Some(lines) = &self.lines {
            // A line that is not connected is no reason to stop.
            let _ = writeln!(lines.lock().unwrap_or_else(PoisonError::into_inner), "{}", event(name, fields));
        }
    }

    /// What was done last, or is being done.
    pub fn step(&self) -> Option<String> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look(&self, now: Instant) {
        let stalled = self.motion().as_mut().and_then(|it| Some((it.stalls(now)?, it.phase.clone(), it.pace.left())));
        if let Some((still, phase, left)) = stalled {
            let (seconds, programs) = (still.as_secs(), running_children());
            self.report.note(&stalled_words(seconds, &phase, left, &programs));
            let fields = json!({ "waiting_for": phase, "seconds": seconds, "left": left, "programs": programs });
            self.tell("stalled", fields);
        }
    }

    fn motion(&self) -> MutexGuard<'_, Option<Motion>> {
        self.motion.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing moves: what is waited for is the program that runs, or whoever takes what is written.
fn stalled_words(seconds: u64, phase: &str, left: Option<u64>, programs: &[String]) -> String {
    let waits = match (programs, left) {
        ([], Some(1..)) => {
            "; what takes or gives the rest does not answer: a disk, the medium or the network".to_string()
        }
        ([], _) => String::new(),
        (some, _) => format!("; waiting for {} to end", some.join(" and ")),
    };
    format!("nothing has moved for {seconds} s: {phase}{waits}")
}

impl Report for Watched<'_> {
    fn phase(&self, name: &str, total: Option<u64>) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_string());
        *self.motion() = Some(Motion::begin(name, total, Instant::now()));
        self.report.phase(name, total);
        self.tell("phase", json!({ "name": name, "total": total }));
    }

    fn advance(&self, steps: u64) {
        let now = Instant::now();
        let told = self.motion().as_mut().and_then(|it| Some((it.advance(steps, now)?, it.pace.per_second(now))));
        self.report.advance(steps);
        if let Some(((done, total), rate)) = told {
            let left = total.saturating_sub(done);
            self.tell("progress", json!({ "done": done, "total": total, "left": left, "per_second": rate }));
        }
    }

    fn note(&self, text: &str) {
        self.report.note(text);
        self.tell("note", json!({ "text": text }));
    }

    fn finish(&self) {
        *self.motion() = None;
        self.report.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_move_is_told_once_until_it_moves_again() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut motion = Motion::begin("waiting for the disk", Some(1000), begin);
        assert_eq!(motion.stalls(at(19)), None);
        assert_eq!(motion.stalls(at(20)), Some(Duration::from_secs(20)));
        assert_eq!(motion.stalls(at(60)), None);
        assert_eq!(motion.advance(9, at(61)), None);
        assert_eq!(motion.advance(1, at(61)), Some((10, 1000)));
        assert_eq!(motion.stalls(at(80)), None);
        assert_eq!(motion.stalls(at(82)), Some(Duration::from_secs(21)));
        assert_eq!(motion.advance(990, at(90)), Some((1000, 1000)));
        assert_eq!(Motion::begin("x", None, begin).advance(5, begin), None);
    }

    #[test]
    fn what_is_waited_for_has_a_name() {
        let said = |left, programs: &[&str]| {
            let programs: Vec<String> = programs.iter().map(ToString::to_string).collect();
            stalled_words(20, "writing", left, &programs)
        };
        assert_eq!(said(None, &[]), "nothing has moved for 20 s: writing");
        assert_eq!(said(None, &["resize2fs"]), "nothing has moved for 20 s: writing; waiting for resize2fs to end");
        assert!(said(Some(7), &[]).ends_with("does not answer: a disk, the medium or the network"));
    }

    #[test]
    fn all_is_passed_on_and_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let watched = Watched::new(&cairn_process::Quiet, Some(&path)).unwrap();
        watched.during(|| {
            watched.phase("writing", Some(2));
            watched.advance(2);
            watched.note("a\u{1b}b");
        });
        watched.look(Instant::now() + STALLED);
        watched.finish();
        watched.look(Instant::now() + 2 * STALLED);
        let lines = std::fs::read_to_string(&path).unwrap();
        let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let names: Vec<&str> = events.iter().map(|one| one["event"].as_str().unwrap()).collect();
        assert_eq!(names, ["phase", "progress", "note", "stalled"]);
        assert_eq!(events[3]["waiting_for"], "writing");
        assert_eq!((&events[1]["left"], watched.step().as_deref()), (&json!(0), Some("writing")));
        assert!(!lines.contains('\u{1b}'));
    }
}
