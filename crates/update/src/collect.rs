//! Which generations go when garbage is collected. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// What was asked for. Without any of it every generation stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// So many of the newest stay.
    pub keep: Option<u32>,
    /// Those that were made before this moment (seconds since 1970) go.
    pub made_before: Option<i64>,
    /// These go.
    pub named: BTreeSet<u64>,
}

impl Rule {
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        *self == Rule::default()
    }
}

/// How a generation was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It can be booted.
    Usable,
    /// Its system is not in the store: there is nothing left of it.
    Gone,
    /// Something about it cannot be understood.
    Doubtful,
}

/// A generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub number: u64,
    /// When it was made.
    pub time: i64,
    /// How it was found.
    pub found: Found,
}

/// Why nothing goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// There is no such generation.
    NoSuch(u64),
    /// It is needed, and for what.
    Needed(u64, &'static str),
    /// It cannot be understood and would stay: what belongs to it nobody can tell.
    Doubt(u64),
}

/// The generations that go. `needed` are those that stay whatever the rule says, with the reason.
pub fn choose(
    all: &[Candidate],
    needed: &BTreeMap<u64, &'static str>,
    rule: &Rule,
) -> Result<BTreeSet<u64>, Objection> {
    for number in &rule.named {
        if !all.iter().any(|g| g.number == *number) {
            return Err(Objection::NoSuch(*number));
        }
        if let Some(reason) = needed.get(number) {
            return Err(Objection::Needed(*number, reason));
        }
    }
    let mut usable: Vec<u64> = all.iter().filter(|g| g.found == Found::Usable).map(|g| g.number).collect();
    usable.sort_unstable();
    let newest: BTreeSet<u64> = match rule.keep {
        Some(keep) => usable.iter().rev().take(keep as usize).copied().collect(),
        None => BTreeSet::new(),
    };
    let by_rule = |g: &Candidate| match g.found {
        // Nothing is lost with what is gone.
        Found::Gone => rule.keep.is_some() || rule.made_before.is_some(),
        // What a later Cairn has made is not this one's to remove.
        Found::Doubtful => false,
        Found::Usable => {
            rule.keep.is_some_and(|_| !newest.contains(&g.number)) || rule.made_before.is_some_and(|m| g.time < m)
        }
    };
    let goes = |g: &&Candidate| rule.named.contains(&g.number) || (by_rule(g) && !needed.contains_key(&g.number));
    let gone: BTreeSet<u64> = all.iter().filter(goes).map(|g| g.number).collect();
    match all.iter().find(|g| g.found != Found::Usable && !gone.contains(&g.number)) {
        Some(stays) => Err(Objection::Doubt(stays.number)),
        None => Ok(gone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Candidate> {
        (1..=6).map(|n| Candidate { number: n, time: 100 * i64::try_from(n).unwrap(), found: Found::Usable }).collect()
    }

    fn goes(all: &[Candidate], needed: &[u64], rule: Rule) -> Result<Vec<u64>, Objection> {
        let needed = needed.iter().map(|n| (*n, "the default")).collect();
        choose(all, &needed, &rule).map(|gone| gone.into_iter().collect())
    }

    fn keep(n: u32) -> Rule {
        Rule { keep: Some(n), ..Rule::default() }
    }

    #[test]
    fn the_newest_and_the_needed_stay() {
        assert_eq!(goes(&all(), &[], Rule::default()), Ok(vec![]));
        assert_eq!(goes(&all(), &[2], keep(3)), Ok(vec![1, 3]));
        assert_eq!(goes(&all(), &[6], keep(9)), Ok(vec![]));
    }

    #[test]
    fn age_is_by_the_date_and_a_date_to_come_is_young() {
        let mut all = all();
        all[0].time = 10_000;
        let rule = Rule { made_before: Some(400), ..Rule::default() };
        assert_eq!(goes(&all, &[6], rule), Ok(vec![2, 3]));
    }

    #[test]
    fn what_is_needed_or_not_there_cannot_be_named() {
        let named = |n| Rule { named: [n].into(), ..Rule::default() };
        assert_eq!(goes(&all(), &[2], named(3)), Ok(vec![3]));
        assert_eq!(goes(&all(), &[2], named(2)), Err(Objection::Needed(2, "the default")));
        assert_eq!(goes(&all(), &[2], named(9)), Err(Objection::NoSuch(9)));
    }

    #[test]
    fn what_is_gone_goes_and_what_is_in_doubt_stops_all() {
        let mut all = all();
        all[1].found = Found::Gone;
        assert_eq!(goes(&all, &[6], keep(4)), Ok(vec![1, 2]), "it does not count among those that stay");
        assert_eq!(goes(&all, &[6], Rule::default()), Err(Objection::Doubt(2)));
        all[2].found = Found::Doubtful;
        assert_eq!(goes(&all, &[6], keep(4)), Err(Objection::Doubt(3)));
        let rule = Rule { named: [3].into(), ..keep(4) };
        assert_eq!(goes(&all, &[6], rule), Ok(vec![2, 3]));
    }
}
