//! Which generations have an entry, which one the menu begins with, and which is on trial. Pure.

use std::collections::BTreeSet;

use cairn_machine::model::Boot;

use crate::record::Record;

/// What decides.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The generations that can be booted, as far as one can tell by looking at them.
    pub usable: &'a BTreeSet<u64>,
    /// What the machine remembers.
    pub record: &'a Record,
    /// The generation that runs, if one of them does.
    pub booted: Option<u64>,
    /// How many have an entry, besides those that must have one; how often a new one is tried, where 0 makes it count as
    /// good at once.
    pub boot: &'a Boot,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The generations that have an entry.
    pub kept: BTreeSet<u64>,
    /// Those of them that count as good: their entries have no counter.
    pub good: BTreeSet<u64>,
    /// Those of them that used up their tries.
    pub failed: BTreeSet<u64>,
    /// What boots when nothing is being tried, and when a trial fails.
    pub ground: u64,
    /// What is tried first, while it has tries left.
    pub trial: Option<u64>,
    /// Whether there are good generations newer than `ground`, which must not come before it.
    pub pinned: bool,
}

/// Decides. `None` when no generation is usable: then nothing may be changed, for there would be nothing left to boot.
pub fn choose(situation: &Situation<'_>) -> Option<Choice> {
    let Situation { usable, record, booted, boot: Boot { generations: limit, tries, .. } } = *situation;
    let newest = *usable.last()?;
    let booted = booted.filter(|n| usable.contains(n));
    let mut good: BTreeSet<u64> = record.good.intersection(usable).copied().collect();
    let mut wanted = record.default.filter(|n| good.contains(n));
    let mut trial = record.trial.filter(|n| usable.contains(n) && !good.contains(n));
    if *tries == 0 {
        good.extend(usable.iter().filter(|n| !record.failed.contains(n)));
        wanted = trial.take().or(wanted);
    }
    // Without a good one there is nothing to fall back to, and a counter would only lead to nowhere.
    if good.is_empty() {
        good.insert(booted.or(trial).unwrap_or(newest));
        trial = trial.filter(|n| !good.contains(n));
    }
    let newest_good = good.last().copied().unwrap_or(newest);
    let ground = wanted.unwrap_or(newest_good);
    let last_good = record.last_good.filter(|n| good.contains(n));
    let must = [Some(ground), trial, booted, last_good];
    let kept: BTreeSet<u64> =
        must.into_iter().flatten().chain(usable.iter().rev().take((*limit).max(1) as usize).copied()).collect();
    good.retain(|n| kept.contains(n));
    let failed = record.failed.iter().filter(|n| kept.contains(n) && !good.contains(n)).copied().collect();
    let pinned = good.last().is_some_and(|n| *n > ground);
    Some(Choice { kept, good, failed, ground, trial, pinned })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u64]) -> BTreeSet<u64> {
        numbers.iter().copied().collect()
    }

    fn decide(usable: &[u64], record: &Record, booted: Option<u64>, generations: u32) -> Option<Choice> {
        let boot = Boot { generations, ..Boot::default() };
        choose(&Situation { usable: &set(usable), record, booted, boot: &boot })
    }

    #[test]
    fn a_new_generation_is_tried_and_the_last_good_one_is_the_ground() {
        let mut record = Record::first(1);
        record.try_next(2);
        let choice = decide(&[1, 2], &record, Some(1), 10).unwrap();
        assert_eq!((choice.ground, choice.trial, choice.pinned), (1, Some(2), false));
        assert_eq!(choice.good, set(&[1]));
    }

    #[test]
    fn what_failed_is_not_tried_again() {
        let mut record = Record::first(1);
        record.try_next(2);
        record.failed(2);
        let choice = decide(&[1, 2], &record, Some(1), 10).unwrap();
        assert_eq!((choice.ground, choice.trial), (1, None));
        assert_eq!(choice.kept, set(&[1, 2]));
    }

    #[test]
    fn a_trial_that_fails_leads_back_to_what_was_chosen_and_not_to_what_was_left() {
        let mut record = Record::first(1);
        record.booted_well(2);
        record.want(1);
        record.try_next(3);
        let choice = decide(&[1, 2, 3], &record, Some(1), 10).unwrap();
        assert_eq!((choice.ground, choice.trial, choice.pinned), (1, Some(3), true));
    }

    #[test]
    fn booted_default_and_last_good_are_kept_whatever_the_limit_says() {
        let mut record = Record::first(1);
        record.booted_well(2);
        record.booted_well(3);
        record.want(1);
        let choice = decide(&[1, 2, 3, 4, 5, 6], &record, Some(2), 1).unwrap();
        assert_eq!(choice.kept, set(&[1, 2, 3, 6]));
    }

    #[test]
    fn without_a_good_one_what_runs_counts_as_good() {
        let record = Record::default();
        assert_eq!(decide(&[3, 4], &record, Some(3), 10).unwrap().ground, 3);
        assert_eq!(decide(&[3, 4], &record, None, 10).unwrap().ground, 4);
        assert_eq!(decide(&[], &record, None, 10), None);
        // What is being tried is what there is; beside what runs it stays a trial.
        let mut record = Record::default();
        record.try_next(4);
        let choice = |booted| decide(&[3, 4], &record, booted, 10).map(|choice| (choice.ground, choice.trial));
        assert_eq!(choice(None), Some((4, None)));
        assert_eq!(choice(Some(3)), Some((3, Some(4))));
    }

    #[test]
    fn a_gone_generation_is_nobody_s_default() {
        let mut record = Record::first(2);
        record.good.insert(9);
        record.default = Some(9);
        record.last_good = Some(9);
        let choice = decide(&[1, 2], &record, Some(9), 10).unwrap();
        assert_eq!((choice.ground, choice.trial), (2, None));
    }

    #[test]
    fn without_counting_what_failed_is_still_none_that_is_good() {
        let mut record = Record::first(1);
        record.failed(2);
        let boot = Boot { tries: 0, generations: 10, ..Boot::default() };
        let situation = Situation { usable: &set(&[1, 2, 3]), record: &record, booted: None, boot: &boot };
        let choice = choose(&situation).unwrap();
        assert_eq!((choice.good, choice.failed), (set(&[1, 3]), set(&[2])));
    }

    #[test]
    fn only_what_is_kept_and_is_not_good_has_failed() {
        let mut record = Record::first(1);
        record.booted_well(4);
        record.failed.extend([2, 4, 5]);
        let choice = decide(&[1, 2, 3, 4, 5], &record, None, 1).unwrap();
        assert_eq!((choice.kept, choice.failed), (set(&[4, 5]), set(&[5])));
    }

    #[test]
    fn without_counting_the_new_one_is_simply_next() {
        let mut record = Record::first(1);
        record.try_next(2);
        let usable = set(&[1, 2]);
        let boot = Boot { tries: 0, ..Boot::default() };
        let choice = choose(&Situation { usable: &usable, record: &record, booted: Some(1), boot: &boot }).unwrap();
        assert_eq!((choice.ground, choice.trial, choice.pinned), (2, None, false));
    }

    #[test]
    fn a_trial_is_kept_however_old_it_is() {
        let mut record = Record::first(6);
        record.want(1);
        let choice = decide(&[1, 2, 3, 4, 5, 6], &record, Some(6), 1).unwrap();
        assert_eq!((choice.trial, choice.kept), (Some(1), set(&[1, 6])));
    }

    #[test]
    fn without_counting_what_failed_is_not_good() {
        let mut record = Record::first(1);
        record.booted_well(2);
        record.failed(3);
        let boot = Boot { tries: 0, ..Boot::default() };
        let usable = set(&[1, 2, 3, 4]);
        let choice = choose(&Situation { usable: &usable, record: &record, booted: Some(2), boot: &boot }).unwrap();
        assert_eq!((choice.ground, choice.good, choice.failed), (4, set(&[1, 2, 4]), set(&[3])));
        let usable = set(&[1, 2, 3]);
        let choice = choose(&Situation { usable: &usable, record: &record, booted: Some(2), boot: &boot }).unwrap();
        assert_eq!(choice.ground, 2);
    }

    #[test]
    fn a_trial_that_is_known_to_be_good_is_not_tried() {
        let mut record = Record::first(1);
        record.good.insert(2);
        record.trial = Some(2);
        let choice = decide(&[1, 2], &record, Some(1), 10).unwrap();
        assert_eq!((choice.trial, choice.ground), (None, 2));
    }
}
