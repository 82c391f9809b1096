//! How fast something goes on, and how much of it is left. The clock is the caller's.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cairn_layout::human;

/// The rate is that of the last while, so that it follows what a disk does now.
const WHILE: Duration = Duration::from_secs(10);
/// How close two points of it are at least.
const APART: Duration = Duration::from_millis(500);
/// How often it is worth a line where lines stay.
const LINE: Duration = Duration::from_secs(10);
/// A total this large counts bytes.
const BYTES: u64 = 1_000_000;

/// A phase on its way.
#[derive(Debug)]
pub struct Pace {
    total: Option<u64>,
    done: u64,
    points: VecDeque<(Instant, u64)>,
    told: Instant,
}

impl Pace {
    /// Begins now.
    pub fn begin(total: Option<u64>, now: Instant) -> Pace {
        Pace { total: total.filter(|total| *total > 0), done: 0, points: VecDeque::from([(now, 0)]), told: now }
    }

    /// So much more is done.
    pub fn advance(&mut self, steps: u64, now: Instant) {
        self.done = self.done.saturating_add(steps);
        if self.points.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= APART) {
            self.points.push_back((now, self.done));
        }
        while self.points.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WHILE) {
            self.points.pop_front();
        }
    }

    /// What is left, where the total is known.
    pub fn left(&self) -> Option<u64> {
        Some(self.total?.saturating_sub(self.done))
    }

    /// How much a second; nothing in the first moment.
    pub fn per_second(&self, now: Instant) -> Option<u64> {
        let (since, done) = self.points.front()?;
        let millis = now.saturating_duration_since(*since).as_millis();
        if millis < APART.as_millis() {
            return None;
        }
        u64::try_from(u128::from(self.done - done) * 1000 / millis).ok()
    }

    /// `1.2G left, 85M/s, 15 s`, or `12 of 40` where it is not bytes that are counted.
    pub fn words(&self, now: Instant) -> String {
        let Some((total, left)) = self.total.zip(self.left()) else { return String::new() };
        if total < BYTES {
            return format!("{} of {total}", self.done.min(total));
        }
        // What is not shown to its last byte is easier to read.
        let rounded = |bytes: u64| human(bytes >> 20 << 20);
        let left_words = if left >> 20 == 0 { human(left) } else { rounded(left) };
        let mut words = format!("{left_words} left");
        if let Some(rate) = self.per_second(now).filter(|rate| *rate > 0) {
            let rate_words = if rate >> 20 == 0 { human(rate) } else { rounded(rate) };
            words += &format!(", {rate_words}/s");
            if let Some(seconds) = left.checked_div(rate).filter(|seconds| (1..360_000).contains(seconds)) {
                words += &format!(", {}", time(seconds));
            }
        }
        words
    }

    /// The same, if it is time for another line.
    pub fn line(&mut self, now: Instant) -> Option<String> {
        if self.total.is_none() || self.left() == Some(0) || now.saturating_duration_since(self.told) < LINE {
            return None;
        }
        self.told = now;
        Some(self.words(now))
    }
}

fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_and_how_fast_it_goes_is_that_of_the_last_while() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut pace = Pace::begin(Some(10 << 30), begin);
        assert_eq!(pace.words(begin), "10G left");
        for second in 1..=20 {
            pace.advance(100 << 20, at(second));
        }
        assert_eq!((pace.left(), pace.per_second(at(20))), (Some(8240 << 20), Some(100 << 20)));
        assert_eq!(pace.words(at(20)), "8.1G left, 100M/s, 2 min");
        // It becomes slow, and stops.
        for second in 21..=40 {
            pace.advance(1 << 20, at(second));
        }
        assert_eq!(pace.words(at(40)), "8.1G left, 1M/s, 2 h 17 min");
        assert_eq!(pace.per_second(at(60)), Some((10 << 20) / 30));
        pace.advance(u64::MAX, at(61));
        assert_eq!(pace.left(), Some(0));
    }

    #[test]
    fn lines_come_at_intervals_and_only_where_there_is_a_total() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut pace = Pace::begin(Some(40), begin);
        pace.advance(12, at(3));
        assert_eq!(pace.line(at(9)), None);
        assert_eq!(pace.line(at(10)).as_deref(), Some("12 of 40"));
        assert_eq!((pace.line(at(19)), pace.line(at(20)).is_some()), (None, true));
        pace.advance(28, at(40));
        assert_eq!(pace.line(at(40)), None);
        let mut unknown = Pace::begin(None, begin);
        unknown.advance(5, at(1));
        assert_eq!((unknown.line(at(100)), unknown.words(at(100)), unknown.left()), (None, String::new(), None));
        assert_eq!(Pace::begin(Some(0), begin).words(begin), "");
    }
}
