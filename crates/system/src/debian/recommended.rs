//! What packages recommend and a lock leaves out.

use std::collections::BTreeSet;

use super::apt::Chosen;
use super::index::Index;

/// How many of one package's are named.
const NAMED: usize = 8;

/// A line for each package of the machine file of which something recommended is left out.
pub(super) fn left_out(packages: &[String], chosen: &[Chosen], index: &Index) -> Vec<String> {
    let there: BTreeSet<&str> = chosen.iter().map(|one| one.name.as_str()).collect();
    let is_there = |name: &&str| {
        there.contains(name) || index.providers(name).iter().any(|provider| there.contains(provider.as_str()))
    };
    let line = |one: &Chosen| {
        let groups = index.recommends(one);
        let left: Vec<&str> = groups
            .iter()
            .filter(|group| !group.iter().any(is_there))
            .filter_map(|group| group.first().copied())
            .collect();
        let more = left.len().checked_sub(NAMED).filter(|more| *more > 0);
        let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
        let named = left[..left.len().min(NAMED)].join(", ");
        (!left.is_empty()).then(|| format!("{} recommends {named}{more}: not taken", one.name))
    };
    let mut lines: Vec<String> = chosen.iter().filter(|one| packages.contains(&one.name)).filter_map(line).collect();
    if !lines.is_empty() {
        lines.push("name those that are wanted in `packages`, or write `recommends: true` for all".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recommended_and_not_there_is_told_of_the_machines_own_packages() {
        let stanza = |name: &str, more: &str| {
            let hash = "ab".repeat(32);
            format!("Package: {name}\nVersion: 1\nArchitecture: all\n{more}Filename: f\nSize: 1\nSHA256: {hash}\n")
        };
        let list = [
            stanza("docker.io", "Recommends: docker-cli (>= 2), git:any, mta | exim4 | ssmtp, apparmor\n"),
            stanza("apparmor", "Recommends: unheard-of\n"),
            stanza("postfix", "Provides: mta (= 3)\n"),
            stanza("docker-cli", ""),
        ];
        let index = Index::of_text(&list.join("\n")).unwrap();
        let chosen = |names: &[&str]| -> Vec<Chosen> {
            let one = |name: &&str| Chosen { name: (*name).into(), version: "1".into(), architecture: "all".into() };
            names.iter().map(one).collect()
        };
        let packages = ["docker.io".to_string()];
        let told = left_out(&packages, &chosen(&["apparmor", "docker.io"]), &index);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0], "docker.io recommends docker-cli, git, mta: not taken");
        let told = left_out(&packages, &chosen(&["apparmor", "docker-cli", "docker.io", "postfix"]), &index);
        assert_eq!(told[0], "docker.io recommends git: not taken");
        assert!(left_out(&[], &chosen(&["docker.io"]), &index).is_empty());
    }
}
