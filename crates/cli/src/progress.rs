//! How far the work is: bars on a terminal, plain lines elsewhere, JSON events for programs.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cairn_process::Report;
use cairn_process::text::{one_line, plain};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::json;

use crate::pace::Pace;
use crate::terminal::{columns, event, say};

/// How long a phase must have taken before its end is worth a time.
const WORTH_A_TIME: Duration = Duration::from_secs(1);

/// A terminal of fewer columns has no room for a bar in one line with the rest.
const WIDE: usize = 70;

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
    pace: Arc<Mutex<Pace>>,
}

impl Phase {
    fn begin(name: &str, total: Option<u64>) -> Phase {
        let began = Instant::now();
        Phase { name: name.into(), began, bar: None, pace: Arc::new(Mutex::new(Pace::begin(total, began))) }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A spinner or a bar for the phase that runs, and a line for each one that is done.
#[derive(Default)]
pub struct Bars(Mutex<Option<Phase>>);

impl Bars {
    fn lock(&self) -> MutexGuard<'_, Option<Phase>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(phase: Option<Phase>) {
        if let Some(Phase { name, began, bar: Some(bar), .. }) = phase {
            bar.finish_and_clear();
            say(&done(&name, began.elapsed()));
        }
    }
}

impl Report for Bars {
    fn phase(&self, name: &str, total: Option<u64>) {
        let mut current = self.lock();
        Self::end(current.take());
        let mut phase = Phase::begin(name, total);
        let style = style(total, columns().unwrap_or(WIDE), Arc::clone(&phase.pace));
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10)).with_style(style);
        bar.set_message(name.to_string());
        bar.enable_steady_tick(Duration::from_millis(120));
        phase.bar = Some(bar);
        *current = Some(phase);
    }

    fn advance(&self, steps: u64) {
        if let Some(phase) = &*self.lock() {
            phase.pace().advance(steps, Instant::now());
            phase.bar.iter().for_each(|bar| bar.inc(steps));
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

fn style(total: Option<u64>, columns: usize, pace: Arc<Mutex<Pace>>) -> ProgressStyle {
    let template = match total {
        Some(_) if columns < WIDE => "{spinner} {msg}\n  {pace} {elapsed}",
        Some(_) => "{spinner} {msg} [{bar:16}] {pace} {elapsed}",
        None => "{spinner} {msg} {elapsed}",
    };
    // Of its own signs for a spinner the kernel's console has none: all are the same square there.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let words = move |_: &ProgressState, f: &mut dyn std::fmt::Write| {
        let words = pace.lock().unwrap_or_else(PoisonError::into_inner).words(Instant::now());
        let _ = f.write_str(&words);
    };
    style.progress_chars("=> ").tick_chars("|/-\\ ").with_key("pace", words)
}

/// One line when a phase begins, one for each note, and now and then how far it is; for logs.
#[derive(Default)]
pub struct Lines(Mutex<Option<Phase>>);

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Option<Phase>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn phase(&self, name: &str, total: Option<u64>) {
        let mut current = self.lock();
        Self::end(current.take());
        say(&format!("{name} ..."));
        *current = Some(Phase::begin(name, total));
    }

    fn advance(&self, steps: u64) {
        let now = Instant::now();
        let line = self.lock().as_ref().and_then(|phase| {
            let mut pace = phase.pace();
            pace.advance(steps, now);
            Some(format!("{}: {}", phase.name, pace.line(now)?))
        });
        line.iter().for_each(|line| say(line));
    }

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
    pace: Option<Pace>,
}

impl Report for Events {
    fn phase(&self, name: &str, total: Option<u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Count { total, pace: Some(Pace::begin(total, Instant::now())), ..Count::default() };
        tell(&event("phase", json!({ "name": name, "total": total })));
    }

    /// Tells of every hundredth part; without a total there is nothing to tell a part of.
    fn advance(&self, steps: u64) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        count.done = count.done.saturating_add(steps);
        count.pace.iter_mut().for_each(|pace| pace.advance(steps, now));
        let Some(total @ 1..) = count.total else { return };
        let part = total.div_ceil(100);
        if count.done - count.told >= part || (count.done >= total && count.told < total) {
            count.told = count.done;
            let (left, rate) =
                (total.saturating_sub(count.done), count.pace.as_ref().and_then(|it| it.per_second(now)));
            let fields = json!({ "done": count.done, "total": total, "left": left, "per_second": rate });
            tell(&event("progress", fields));
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
