//! The `Date` of a Release file.

/// Seconds since 1970 of a date as Debian's Release files say it: `Sat, 06 Sep 2025 09:50:00 UTC`.
pub(super) fn parse(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = rest.split_ascii_whitespace();
    let day: i64 = words.next()?.parse().ok().filter(|d| (1..=31).contains(d))?;
    let month = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|m| *m == month)?).ok()? + 1;
    let year: i64 = words.next()?.parse().ok().filter(|y| (1970..=9999).contains(y))?;
    let mut time = words.next()?.split(':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !matches!(words.next(), Some("UTC" | "GMT" | "Z" | "+0000")) {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counting years from March so that the leap day is last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_release_files_become_seconds() {
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse(" Sat, 09 Aug 2025 09:24:43 UTC"), Some(1_754_731_483));
        assert_eq!(parse("Thu, 29 Feb 2024 23:59:59 +0000"), Some(1_709_251_199));
        assert_eq!(parse("Fri,  1 Mar 2024 00:00:00 GMT"), Some(1_709_251_200));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "yesterday",
            "Thu, 01 Foo 1970 00:00:00 UTC",
            "Thu, 01 Jan 1970 00:00 UTC",
            "Thu, 01 Jan 1970 00:00:00 CET",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
