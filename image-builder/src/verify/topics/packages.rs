//! The packages are those of the lock file, no more and no fewer, in their versions.

use std::collections::BTreeMap;

use crate::verify::answer::Answer;
use crate::verify::check::Check;
use crate::verify::expected::Expected;

pub(super) fn ask(expected: &Expected) -> Option<String> {
    let command = "dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\\n'";
    (!expected.packages.is_empty()).then(|| command.into())
}

pub(super) fn judge(expected: &Expected, answer: &Answer) -> Vec<Check> {
    let installed = |line: &'_ str| -> Option<(String, String)> {
        let (name, version) = line.strip_prefix("installed ")?.split_once(' ')?;
        Some((name.into(), version.into()))
    };
    let found: BTreeMap<String, String> = answer.out.lines().filter_map(installed).collect();
    let mut complaints = Vec::new();
    for (name, version) in &expected.packages {
        match found.get(name) {
            Some(found) if found == version => {}
            Some(found) => complaints.push(format!("{name} {found} instead of {version}")),
            None => complaints.push(format!("{name} is missing")),
        }
    }
    let more = found.keys().filter(|name| !expected.packages.contains_key(*name));
    complaints.extend(more.map(|name| format!("{name} is there too")));
    vec![Check::complaints(
        "packages",
        format!("{} packages in the locked versions", expected.packages.len()),
        &complaints,
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let packages = [("a", "1"), ("b", "2"), ("c", "3")].map(|(n, v)| (n.to_string(), v.to_string()));
        let expected = Expected { packages: packages.into(), ..Expected::default() };
        let out = "installed a 1\ninstalled b 2.1\ninstalled d 4\nconfig-files c 3\n";
        let check = &judge(&expected, &Answer { out: out.into(), ..Answer::default() })[0];
        assert!(!check.ok);
        assert_eq!(check.found, "b 2.1 instead of 2; c is missing; d is there too");
        assert_eq!(check.expected, "3 packages in the locked versions");
    }
}
