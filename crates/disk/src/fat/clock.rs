//! The one time that everything on a new FAT volume has.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use fatfs::{Date, DateTime, Time, TimeProvider};

/// FAT knows the years from 1980 to 2107.
const FIRST: i64 = 315_532_800;
const LAST: i64 = 4_354_819_198;

/// A clock that stands still.
#[derive(Debug)]
pub(super) struct StoppedClock {
    now: DateTime,
}

impl TimeProvider for StoppedClock {
    fn get_current_date(&self) -> Date {
        self.now.date
    }

    fn get_current_date_time(&self) -> DateTime {
        self.now
    }
}

/// A clock that shows this moment (seconds since 1970, UTC). `fatfs` wants one that lives for ever: there is one for
/// each moment that was ever asked for, and a run asks for one.
pub(super) fn stopped_at(epoch: i64) -> &'static StoppedClock {
    static CLOCKS: Mutex<BTreeMap<i64, &'static StoppedClock>> = Mutex::new(BTreeMap::new());
    let epoch = epoch.clamp(FIRST, LAST);
    let mut clocks = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    clocks.entry(epoch).or_insert_with(|| Box::leak(Box::new(StoppedClock { now: date_time(epoch) })))
}

fn date_time(epoch: i64) -> DateTime {
    let (days, seconds) = (epoch.div_euclid(86400), epoch.rem_euclid(86400));
    // Days from 1 March of year 0, so that the leap day is a year's last one.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (year + era * 400 + i64::from(month >= 10), if month < 10 { month + 3 } else { month - 9 });
    // All in range: the epoch was clamped.
    let small = |n: i64| u16::try_from(n).unwrap_or_default();
    DateTime {
        date: Date { year: small(year), month: small(month), day: small(day) },
        time: Time { hour: small(seconds / 3600), min: small(seconds / 60 % 60), sec: small(seconds % 60), millis: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates() {
        let text = |epoch| {
            let DateTime { date, time } = stopped_at(epoch).get_current_date_time();
            format!("{}-{}-{} {}:{}:{}", date.year, date.month, date.day, time.hour, time.min, time.sec)
        };
        assert_eq!(text(1_709_210_096), "2024-2-29 12:34:56");
        assert_eq!(text(1_767_225_599), "2025-12-31 23:59:59");
        // Leap days, and where they are not; `date -u -d @N`.
        for (epoch, date) in [
            (951_825_600, "2000-2-29 12:0:0"),
            (951_868_800, "2000-3-1 0:0:0"),
            (4_107_456_000, "2100-2-28 0:0:0"),
            (4_107_542_400, "2100-3-1 0:0:0"),
            (4_138_992_000, "2101-2-28 0:0:0"),
            (4_139_078_400, "2101-3-1 0:0:0"),
            (4_233_600_000, "2104-2-28 0:0:0"),
            (4_233_686_400, "2104-2-29 0:0:0"),
            (4_233_772_800, "2104-3-1 0:0:0"),
        ] {
            assert_eq!(text(epoch), date);
        }
        assert_eq!(text(0), "1980-1-1 0:0:0");
        assert_eq!(text(i64::MAX), "2107-12-31 23:59:58");
    }
}
