//! Why a generation has not come up, out of what systemctl says. Pure.

/// More would not be read.
const MOST: usize = 10;

/// A line for each unit that failed; if none did, for each that is still starting.
pub fn all(failed_units: &str, jobs: &str) -> Vec<String> {
    let failed: Vec<String> = failed_units.lines().filter_map(failed).collect();
    let reasons = if failed.is_empty() { jobs.lines().filter_map(starting).collect() } else { failed };
    match reasons.len() {
        0 => vec!["systemd does not say why".into()],
        1..=MOST => reasons,
        n => reasons.into_iter().take(MOST).chain([format!("and {} more", n - MOST)]).collect(),
    }
}

/// `UNIT LOAD ACTIVE SUB DESCRIPTION`
fn failed(line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let unit = words.next()?;
    let description = words.skip(3).collect::<Vec<_>>().join(" ");
    Some(if description.is_empty() { format!("{unit} failed") } else { format!("{unit} failed: {description}") })
}

/// `JOB UNIT TYPE STATE`
fn starting(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match words[..] {
        [_, unit, "start", "running"] if !unit.starts_with("cairn-boot-failed.") => {
            Some(format!("{unit} has not finished starting"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_units_are_the_reason_or_else_those_that_never_started() {
        let failed = "cairn-boot-check-1.service loaded failed failed Boot Check: the web server answers\n\
                      x.service not-found failed failed\n";
        let jobs = "12 slow.service start running\n13 boot-complete.target start waiting\n\
                    14 cairn-boot-failed.service start running\n";
        assert_eq!(
            all(failed, jobs),
            ["cairn-boot-check-1.service failed: Boot Check: the web server answers", "x.service failed"]
        );
        assert_eq!(all("", jobs), ["slow.service has not finished starting"]);
        assert_eq!(all("\n", ""), ["systemd does not say why"]);
        let many: String = (0..12).map(|i| format!("{i}.service a b c d\n")).collect();
        assert_eq!(all(&many, "").len(), 11);
        assert_eq!(all(&many, "")[10], "and 2 more");
    }
}
