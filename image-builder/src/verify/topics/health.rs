//! The machine is well: it has started, nothing failed, its journal and identity are kept.

use crate::verify::answer::Answer;
use crate::verify::check::{Check, Stage};
use crate::verify::expected::Expected;

/// One failed unit in words: its name and the last thing it said.
const FAILED: &str = "systemctl list-units --state=failed --plain --no-legend --full | while read -r u _; do \
     echo \"$u ($(journalctl -b -u \"$u\" -n 2 -o cat --no-pager | tr '\\n' ' ' | tail -c 300))\"; done";

pub(super) fn ask(_: &Expected) -> Option<String> {
    Some(format!(
        "echo '== state'; systemctl is-system-running --wait\n\
         echo '== failed'; {FAILED}\n\
         echo '== times'; systemctl show -p FirmwareTimestampMonotonic -p LoaderTimestampMonotonic \
         -p InitRDTimestampMonotonic -p UserspaceTimestampMonotonic -p FinishTimestampMonotonic\n\
         echo '== machine-id'; cat /etc/machine-id\n\
         echo '== journal'; ls -d \"/var/log/journal/$(cat /etc/machine-id)\" 2>/dev/null\n\
         echo '== boots'; journalctl --list-boots --no-pager -q | wc -l\n\
         echo '== host keys'; cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null\n\
         n=0; until grep -aq 'login:' /dev/vcs1 || [ $n -ge 60 ]; do sleep 1; n=$((n+1)); done\n\
         echo '== screen'; tr -d '\\000' </dev/vcs1 | tr -s ' '"
    ))
}

pub(super) fn judge(_: &Expected, answer: &Answer) -> Vec<Check> {
    let parts = answer.parts();
    let failed: Vec<String> = parts.lines("failed").iter().map(ToString::to_string).collect();
    let id = parts.line("machine-id");
    let good_id = id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit());
    let screen = parts.lines("screen").concat();
    let screen = screen.trim();
    let prompt = screen.contains("login:");
    let journal = parts.line("journal");
    vec![
        Check::equal("state of the system", "running", parts.line("state")),
        Check::complaints("failed units", "none", &failed),
        Check::new(
            "login prompt on the screen",
            prompt,
            "login:",
            if prompt { "login:".into() } else { format!("the screen says \"{}\"", last(screen, 200)) },
        ),
        Check::new("machine id", good_id, "32 hexadecimal digits", if id.is_empty() { "none" } else { id }),
        Check::new(
            "journal is kept",
            !journal.is_empty(),
            "/var/log/journal/MACHINE-ID",
            if journal.is_empty() { "no such folder" } else { journal },
        ),
    ]
}

/// The last characters of a text.
fn last(text: &str, count: usize) -> &str {
    let start = text.char_indices().rev().nth(count.saturating_sub(1)).map_or(0, |(at, _)| at);
    &text[start..]
}

pub(super) fn judge_both(first: &Answer, second: &Answer) -> Vec<Check> {
    let (first, second) = (first.parts(), second.parts());
    let boots: u32 = second.line("boots").parse().unwrap_or(0);
    let mut checks = vec![
        Check::equal("machine id is kept", first.line("machine-id"), second.line("machine-id")),
        Check::new("journal of the first boot is kept", boots >= 2, "2 boots", format!("{boots} boots")),
    ];
    let keys = first.lines("host keys");
    if !keys.is_empty() {
        let same = keys == second.lines("host keys");
        checks.push(Check::new(
            "SSH host keys are kept",
            same,
            "the same keys",
            if same { "the same keys" } else { "others" },
        ));
    }
    checks
}

/// systemd counts firmware and loader backwards from the kernel's start, and the rest forwards; microseconds.
pub(super) fn stages(answer: &Answer, boot: u32) -> Vec<Stage> {
    let parts = answer.parts();
    let time = |name: &str| -> Option<u64> {
        let line =
            parts.lines("times").iter().find_map(|l| l.strip_prefix(name)?.strip_prefix("TimestampMonotonic="))?;
        line.parse().ok().filter(|t| *t > 0)
    };
    let (firmware, loader, initrd) = (time("Firmware"), time("Loader"), time("InitRD"));
    let (userspace, finish) = (time("Userspace"), time("Finish"));
    let between = |from: Option<u64>, to: Option<u64>| to?.checked_sub(from?);
    let spans = [
        ("firmware", between(loader, firmware)),
        ("loader", loader),
        ("kernel", initrd.or(userspace)),
        ("initrd", between(initrd, userspace)),
        ("userspace", between(userspace, finish)),
    ];
    let stage = |(name, micros): (&str, Option<u64>)| {
        // Milliseconds are more than these clocks are worth.
        Some(Stage { boot, name: name.into(), seconds: (micros? / 1000) as f64 / 1000.0 })
    };
    spans.into_iter().filter_map(stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: &str = "== state\nrunning\n== failed\n== times\nFirmwareTimestampMonotonic=6000000\n\
        LoaderTimestampMonotonic=2000000\nInitRDTimestampMonotonic=3500000\nUserspaceTimestampMonotonic=9000000\n\
        FinishTimestampMonotonic=20000000\n== machine-id\n0123456789abcdef0123456789abcdef\n== journal\n\
        /var/log/journal/0123456789abcdef0123456789abcdef\n== boots\n1\n== host keys\nssh-ed25519 A\n\
        == screen\nDebian GNU/Linux 13 hello tty1 hello login: ";

    fn answer(out: &str) -> Answer {
        Answer { out: out.into(), ..Answer::default() }
    }

    #[test]
    fn a_machine_that_is_well_passes() {
        let checks = judge(&Expected::default(), &answer(WELL));
        assert!(checks.iter().all(|c| c.ok), "{checks:#?}");
    }

    #[test]
    fn a_failed_unit_is_told_with_its_last_words() {
        let ill = WELL.replace("running", "degraded").replace("== failed", "== failed\nx.service (no such file)");
        let wrong: Vec<Check> = judge(&Expected::default(), &answer(&ill)).into_iter().filter(|c| !c.ok).collect();
        assert_eq!(wrong.len(), 2);
        assert_eq!((wrong[0].found.as_str(), wrong[1].found.as_str()), ("degraded", "x.service (no such file)"));
    }

    #[test]
    fn stages_are_the_spaces_between_the_marks() {
        let stages = stages(&answer(WELL), 1);
        let named: Vec<(&str, f64)> = stages.iter().map(|s| (s.name.as_str(), s.seconds)).collect();
        assert_eq!(named, [("firmware", 4.0), ("loader", 2.0), ("kernel", 3.5), ("initrd", 5.5), ("userspace", 11.0)]);
    }

    #[test]
    fn a_machine_id_that_changes_is_seen() {
        let second = WELL.replace("0123", "3210").replace("boots\n1", "boots\n2");
        let checks = judge_both(&answer(WELL), &answer(&second));
        assert_eq!(checks.iter().map(|c| c.ok).collect::<Vec<_>>(), [false, true, true]);
    }
}
