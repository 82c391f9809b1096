//! How far the work is: bars on a terminal, plain lines elsewhere, JSON events for programs.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cairn_process::Report;
use cairn_process::text::{one_line, plain};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::terminal::{event, say};

/// How long a phase must have taken before its end is worth a time.
const WORTH_A_TIME: Duration = Duration::from_secs(1);

/// What is told to another, as text without orders to the terminal.
pub struct Plain<R>(pub R);

impl<R: Report> Report for Plain<R> {
    fn phase(&self, name: &str, total: Option<u64>) {
        self.0.phase(&one_line(name), total);
    }

    fn advance(&self, steps: u64) {
        self.0.advance(steps);
    }

    fn note(&self, text: &str) {
        self.0.note(&plain(text));
    }

    fn finish(&self) {
        self.0.finish();
    }
}

struct Phase {
    name: String,
    began: Instant,
    bar: Option<ProgressBar>,
}

/// A spinner or a bar for the phase that runs, and a line for each one that is done.
#[derive(Default)]
pub struct Bars(Mutex<Option<Phase>>);

impl Bars {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Phase>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn end(phase: Option<Phase>) {
        if let Some(Phase { name, began, bar: Some(bar) }) = phase {
            bar.finish_and_clear();
            say(&done(&name, began.elapsed()));
        }
    }
}

impl Report for Bars {
    fn phase(&self, name: &str, total: Option<u64>) {
        let mut current = self.lock();
        Self::end(current.take());
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10)).with_style(style(total));
        bar.set_message(name.to_string());
        bar.enable_steady_tick(Duration::from_millis(120));
        *current = Some(Phase { name: name.into(), began: Instant::now(), bar: Some(bar) });
    }

    fn advance(&self, steps: u64) {
        if let Some(Phase { bar: Some(bar), .. }) = &*self.lock() {
            bar.inc(steps);
        }
    }

    fn note(&self, text: &str) {
        match &*self.lock() {
            Some(Phase { bar: Some(bar), .. }) => bar.suspend(|| say(text)),
            _ => say(text),
        }
    }

    fn finish(&self) {
        Self::end(self.lock().take());
    }
}

impl Drop for Bars {
    /// The last phase may have been cut short by an error, so its line does not say that it is done.
    fn drop(&mut self) {
        if let Some(Phase { bar: Some(bar), .. }) = self.lock().take() {
            bar.finish_and_clear();
        }
    }
}

fn style(total: Option<u64>) -> ProgressStyle {
    let template = match total {
        // A total this large counts bytes.
        Some(1_000_000..) => "{spinner} {msg} [{bar:24}] {bytes}/{total_bytes} {elapsed}",
        Some(_) => "{spinner} {msg} [{bar:24}] {pos}/{len} {elapsed}",
        None => "{spinner} {msg} {elapsed}",
    };
    // Of its own signs for a spinner the kernel's console has none: all are the same square there.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ").tick_chars("|/-\\ ")
}

/// One line when a phase begins, one for each note; for logs.
#[derive(Default)]
pub struct Lines(Mutex<Option<Phase>>);

impl Lines {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Phase>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn end(phase: Option<Phase>) {
        if let Some(Phase { name, began, .. }) = phase
            && began.elapsed() >= WORTH_A_TIME
        {
            say(&done(&name, began.elapsed()));
        }
    }
}

impl Report for Lines {
    fn phase(&self, name: &str, _total: Option<u64>) {
        let mut current = self.lock();
        Self::end(current.take());
        say(&format!("{name} ..."));
        *current = Some(Phase { name: name.into(), began: Instant::now(), bar: None });
    }

    fn advance(&self, _steps: u64) {}

    fn note(&self, text: &str) {
        say(text);
    }

    fn finish(&self) {
        Self::end(self.lock().take());
    }
}

fn done(name: &str, took: Duration) -> String {
    if took < WORTH_A_TIME { name.to_string() } else { format!("{name}: {:.1} s", took.as_secs_f64()) }
}

/// JSON events, one per line, on standard output.
#[derive(Default)]
pub struct Events(Mutex<Count>);

#[derive(Default)]
struct Count {
    done: u64,
    total: Option<u64>,
    told: u64,
}

impl Report for Events {
    fn phase(&self, name: &str, total: Option<u64>) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Count { done: 0, total, told: 0 };
        tell(&event("phase", json!({ "name": name, "total": total })));
    }

    /// Tells of every hundredth part; without a total there is nothing to tell a part of.
    fn advance(&self, steps: u64) {
        let mut count = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        count.done = count.done.saturating_add(steps);
        let Some(total @ 1..) = count.total else { return };
        let part = total.div_ceil(100);
        if count.done - count.told >= part || (count.done >= total && count.told < total) {
            count.told = count.done;
            tell(&event("progress", json!({ "done": count.done, "total": total })));
        }
    }

    fn note(&self, text: &str) {
        tell(&event("note", json!({ "text": text })));
    }
}

/// A reader that went away is noticed when the result is printed.
fn tell(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
