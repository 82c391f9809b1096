//! What a machine remembers of its generations: which booted well, which is wanted, which failed. Pure values; the file
//! is `/var/lib/cairn/boot.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where the record lies, below the root.
pub const RECORD_FILE: &str = "var/lib/cairn/boot.json";

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the file; 1.
    pub version: u32,
    /// The UUID from which the identifiers of this installation are derived, its disk's among them: it stays the same
    /// when the host name, from which it may have come, does not.
    #[serde(default)]
    pub seed: Option<Uuid>,
    /// The generation that somebody chose over newer ones; without a choice it is the newest one that booted well.
    #[serde(default)]
    pub default: Option<u64>,
    /// The generation that is tried next, until it has booted well or its tries are used up.
    #[serde(default)]
    pub trial: Option<u64>,
    /// The generations that have booted well.
    #[serde(default)]
    pub good: BTreeSet<u64>,
    /// The one of them that did so last.
    #[serde(default)]
    pub last_good: Option<u64>,
    /// The generations whose tries were used up.
    #[serde(default)]
    pub failed: BTreeSet<u64>,
    /// The highest number that a generation ever had: numbers are not used again.
    #[serde(default)]
    pub highest: u64,
    /// How often somebody has said what is to boot: a choice that GRUB remembers from its menu counts until the next time.
    #[serde(default)]
    pub said: u64,
    /// Files of the machine file's own on the boot partition (`boot.files`): theirs to remove, with the hash that they
    /// were written with in base 16.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

impl Default for Record {
    fn default() -> Record {
        Record {
            version: 1,
            seed: None,
            default: None,
            trial: None,
            good: BTreeSet::new(),
            last_good: None,
            failed: BTreeSet::new(),
            highest: 0,
            said: 0,
            files: BTreeMap::new(),
        }
    }
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// It is no record.
    #[error("/{RECORD_FILE} is damaged ({0}); `cairn boot repair` makes it anew from what is on the boot partition")]
    Damaged(String),
    /// It is of a later Cairn.
    #[error("/{RECORD_FILE} is of version {0}, and this Cairn knows version 1 only: use the newer one")]
    Later(u32),
}

impl Record {
    /// The record of a new machine: its first generation is taken to be good, because there is nothing to fall back to.
    pub fn first(number: u64) -> Record {
        let good = BTreeSet::from([number]);
        Record { good, last_good: Some(number), highest: number, ..Record::default() }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn parse(text: &str) -> Result<Record, RecordError> {
        let damaged = |e: serde_json::Error| RecordError::Damaged(e.to_string());
        let value: serde_json::Value = serde_json::from_str(text).map_err(damaged)?;
        match value["version"].as_u64() {
            Some(1) => serde_json::from_value(value).map_err(damaged),
            Some(later) => Err(RecordError::Later(u32::try_from(later).unwrap_or(u32::MAX))),
            None => Err(RecordError::Damaged("it has no version".into())),
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        // Keys are strings and there are no floats: nothing that JSON could not say.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// A new generation is there: it is what boots next.
    pub fn try_next(&mut self, number: u64) {
        self.failed.remove(&number);
        self.highest = self.highest.max(number);
        self.trial = Some(number);
        self.said += 1;
    }

    /// Somebody wants this generation: a good one from the next boot on, any other as soon as it has booted well.
    pub fn want(&mut self, number: u64) {
        if self.good.contains(&number) {
            self.trial = None;
            self.said += 1;
            self.pin(number);
        } else {
            self.try_next(number);
        }
    }

    /// The generation booted well. If that was its trial, it is what boots from now on.
    pub fn booted_well(&mut self, number: u64) {
        self.good.insert(number);
        self.failed.remove(&number);
        self.last_good = Some(number);
        self.highest = self.highest.max(number);
        if self.trial == Some(number) {
            self.trial = None;
            self.pin(number);
        }
    }

    /// The generation used up its tries. One that is known to be good stays so: its entry has no counter.
    pub fn failed(&mut self, number: u64) {
        if !self.good.contains(&number) {
            self.failed.insert(number);
        }
        self.trial = self.trial.filter(|n| *n != number);
    }

    /// The default, which needs no word where it is the newest good one anyway.
    fn pin(&mut self, number: u64) {
        self.default = (self.good.last() != Some(&number)).then_some(number);
    }

    /// Forgets generations that are gone.
    pub fn keep_only(&mut self, there: &BTreeSet<u64>) {
        self.good.retain(|n| there.contains(n));
        self.failed.retain(|n| there.contains(n));
        self.default = self.default.filter(|n| there.contains(n));
        self.trial = self.trial.filter(|n| there.contains(n));
        self.last_good = self.last_good.filter(|n| there.contains(n)).or(self.good.last().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back() {
        let mut record = Record::first(1);
        record.booted_well(4);
        record.failed(5);
        record.failed(4);
        assert_eq!(Record::parse(&record.to_text()), Ok(record.clone()));
        assert_eq!((record.last_good, record.highest), (Some(4), 4));
        assert_eq!(record.failed, BTreeSet::from([5]));
        record.keep_only(&BTreeSet::from([1, 5]));
        assert_eq!((record.last_good, &record.good), (Some(1), &BTreeSet::from([1])));
    }

    #[test]
    fn a_trial_that_goes_well_becomes_what_boots() {
        let mut record = Record::first(1);
        record.try_next(2);
        record.booted_well(2);
        assert_eq!((record.trial, record.default, record.last_good), (None, None, Some(2)));
        record.want(1);
        assert_eq!((record.trial, record.default), (None, Some(1)));
        record.try_next(3);
        record.failed(3);
        assert_eq!((record.trial, record.default), (None, Some(1)), "the choice outlives a failed trial");
        record.want(3);
        assert_eq!((record.trial, record.failed.len()), (Some(3), 0));
        record.booted_well(3);
        assert_eq!((record.trial, record.default), (None, None));
    }

    #[test]
    fn what_is_no_record_is_told_so() {
        assert!(matches!(Record::parse(""), Err(RecordError::Damaged(_))));
        assert!(matches!(Record::parse("{}"), Err(RecordError::Damaged(_))));
        assert!(matches!(Record::parse("{\"version\":1,\"good\":3}"), Err(RecordError::Damaged(_))));
        assert_eq!(Record::parse("{\"version\":2}"), Err(RecordError::Later(2)));
        assert_eq!(Record::parse("{\"version\":1}"), Ok(Record::default()));
    }

    #[test]
    fn a_new_machine_s_first_generation_is_good() {
        let first = Record::first(7);
        assert_eq!((first.good, first.last_good, first.highest), (BTreeSet::from([7]), Some(7), 7));
        assert_eq!((first.default, first.trial), (None, None));
    }

    #[test]
    fn every_word_counts_and_a_boot_is_none() {
        let mut record = Record::first(1);
        record.booted_well(2);
        let said = record.said;
        record.try_next(3);
        assert_eq!((record.said, record.highest), (said + 1, 3));
        record.want(1);
        assert_eq!(record.said, said + 2);
        record.booted_well(1);
        record.failed(3);
        assert_eq!(record.said, said + 2);
        record.want(3);
        assert_eq!(record.said, said + 3);
    }

    #[test]
    fn what_is_gone_is_neither_default_nor_trial() {
        let mut record = Record::first(1);
        record.booted_well(2);
        record.booted_well(3);
        record.want(1);
        record.try_next(4);
        record.keep_only(&BTreeSet::from([2, 3]));
        assert_eq!((record.default, record.trial), (None, None));
        // What failed once and then booted well did not fail.
        record.failed(5);
        record.booted_well(5);
        assert!(record.failed.is_empty());
    }
}
