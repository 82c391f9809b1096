//! Moments for people and programs. In UTC: a table that reads differently on two machines helps nobody.

/// `2026-11-25 14:03`.
pub fn minute(epoch: i64) -> String {
    let second = epoch.rem_euclid(86_400);
    format!("{} {:02}:{:02}", cairn_boot::date(epoch), second / 3600, second / 60 % 60)
}

/// `2026-11-25T14:03:09Z`.
pub fn rfc3339(epoch: i64) -> String {
    let second = epoch.rem_euclid(86_400);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{}T{h:02}:{m:02}:{s:02}Z", cairn_boot::date(epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told() {
        assert_eq!(minute(1_709_251_199), "2024-02-29 23:59");
        assert_eq!(rfc3339(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
    }
}
