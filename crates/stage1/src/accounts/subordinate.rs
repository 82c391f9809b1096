//! Ranges of subordinate numbers, subuid(5) and subgid(5): what a generation declares, and what the machine has given out. Pure.
//!
//! A range, once it is in use, stays: files in somebody's containers belong to its numbers. A declared range goes where its
//! user's number has gone, and never onto one that somebody else has.

/// The files, below `/etc`.
pub const NAMES: [&str; 2] = ["subuid", "subgid"];
/// The last number of a range, as Debian's login.defs has it (SUB_UID_MAX).
const LAST: u64 = 600_100_000;

/// One range.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    owner: String,
    start: u64,
    count: u64,
}

impl Range {
    fn of(line: &str) -> Option<Range> {
        let mut fields = line.trim_end().split(':');
        let (owner, start, count) = (fields.next()?, fields.next()?, fields.next()?);
        let is_whole = fields.next().is_none() && !owner.is_empty() && !owner.starts_with('#');
        let range = Range { owner: owner.into(), start: start.parse().ok()?, count: count.parse().ok()? };
        // Longer than all numbers there are is no range; below, sums then have room.
        let fits = |number: u64| number <= u64::from(u32::MAX);
        (is_whole && fits(range.start) && fits(range.count)).then_some(range)
    }

    fn end(&self) -> u64 {
        self.start + self.count
    }

    fn meets(&self, other: &Range) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

/// The text to use. `moved` says by how many a declared user's number differs from the one in use.
pub fn merge(declared: &str, machine: &str, moved: &dyn Fn(&str) -> i64) -> String {
    let of_machine: Vec<Range> = machine.lines().filter_map(Range::of).collect();
    let mut taken = of_machine.clone();
    let mut text = String::new();
    let mut named = Vec::new();
    for line in declared.lines() {
        let Some(mut range) = Range::of(line) else { continue };
        named.push(range.owner.clone());
        let mut own = of_machine.iter().filter(|own| own.owner == range.owner).peekable();
        if own.peek().is_some() {
            own.for_each(|own| text += &one_line(own));
            continue;
        }
        let shift = moved(&range.owner).checked_mul(i64::try_from(range.count).unwrap_or(0));
        range.start = shift.and_then(|shift| range.start.checked_add_signed(shift)).unwrap_or(range.start);
        if taken.iter().any(|other| other.meets(&range)) {
            // Above all others there is room, if there is any.
            range.start = taken.iter().map(Range::end).max().unwrap_or(range.start);
        }
        if range.end() <= LAST + 1 {
            text += &one_line(&range);
            taken.push(range);
        }
    }
    // What is the machine's own stays as it stands: users who were made there, comments, users of a directory.
    for line in machine.lines().filter(|line| Range::of(line).is_none_or(|range| !named.contains(&range.owner))) {
        text += line;
        text.push('\n');
    }
    text
}

fn one_line(range: &Range) -> String {
    format!("{}:{}:{}\n", range.owner, range.start, range.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: &str = "ann:100000:65536\nbob:165536:65536\n";

    fn merged(machine: &str) -> String {
        merge(DECLARED, machine, &|_| 0)
    }

    #[test]
    fn what_the_machine_has_given_out_stays() {
        assert_eq!(merged(""), DECLARED);
        assert_eq!(merged(DECLARED), DECLARED);
        // Somebody was made on the machine, before bob was declared.
        let made = "ann:100000:65536\neve:165536:65536\n";
        assert_eq!(merged(made), "ann:100000:65536\nbob:231072:65536\neve:165536:65536\n");
        // bob has two ranges of the machine's own choice.
        let own = "# by hand\nbob:500000:1000\nbob:600000:1000\n@staff:x:1\n";
        assert_eq!(merged(own), "ann:100000:65536\nbob:500000:1000\nbob:600000:1000\n# by hand\n@staff:x:1\n");
        // What a boot has made, the next one makes again.
        for machine in [made, own] {
            assert_eq!(merged(&merged(machine)), merged(machine));
        }
    }

    #[test]
    fn a_range_follows_its_user() {
        let moved = |name: &str| if name == "ann" { 2 } else { 0 };
        assert_eq!(merge(DECLARED, "", &moved), "ann:231072:65536\nbob:165536:65536\n");
        let far = |_: &str| i64::MAX;
        assert_eq!(merge(DECLARED, "", &far), DECLARED, "a number that cannot be is none");
    }

    #[test]
    fn no_range_goes_past_the_last_number_or_over_another() {
        let full = "eve:0:600100000\n";
        assert_eq!(merged(full), full, "there is no room for anybody");
        let odd = "eve:99999999999999999999:1\nmax:4294967295:4294967295\nann:100000\n:1:1\n";
        let text = merged(odd);
        assert!(text.starts_with(DECLARED) && text.ends_with(odd), "{text}");
        // Any two that are handed out do not meet.
        for start in (0..400_000).step_by(10_007) {
            let text = merged(&format!("eve:{start}:65536\n"));
            let ranges: Vec<Range> = text.lines().filter_map(Range::of).collect();
            assert_eq!(ranges.len(), 3, "{text}");
            for (i, one) in ranges.iter().enumerate() {
                assert!(!ranges[i + 1..].iter().any(|other| one.meets(other)), "{text}");
            }
        }
    }
}
