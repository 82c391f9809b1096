//! What reading one disk may cost. Whoever made an image may be anybody: folders that are their own folders, trees whose
//! branches are one branch, tables that say that they are as long as the disk. Each reader has its own rules against that,
//! and whatever slips through them meets this: one account for the whole disk, on which all readers of it draw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How far folders may lie in each other. A kernel's own limit for a path is 4096 bytes; nobody nests as deep as this.
pub const MOST_DEPTH: usize = 64;

/// What may be spent, in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time, in nanoseconds as they are on a slow computer: see [`Budget::read`] and [`Budget::step`].
    pub work: u64,
    /// Names in folders.
    pub entries: u64,
    /// Bytes of what is kept in memory while the disk is looked at.
    pub kept: u64,
}

impl Limits {
    /// For looking at a machine. A server of 300 generations spends a twentieth of each.
    pub const MACHINE: Limits = Limits { work: 4_000_000_000, entries: 1 << 18, kept: 32 << 20 };
}

/// Why there is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// It takes too long.
    #[error("its structures lead in circles or are without end: it is damaged or hostile")]
    Work,
    /// Too many names.
    #[error("its folders lead in circles or have more than {0} entries: it is damaged or hostile")]
    Entries(u64),
    /// Too much text.
    #[error("what describes it has more than {} MiB: it is damaged or hostile", .0 >> 20)]
    Kept(u64),
    /// Folders in folders.
    #[error("its folders lead in circles or lie more than {MOST_DEPTH} deep: it is damaged or hostile")]
    Depth,
}

/// The account of one disk. What ran out once has run out: every later reading fails as well, so that no caller that
/// passes over an error goes on.
#[derive(Debug)]
pub struct Budget {
    most: Limits,
    work: AtomicU64,
    entries: AtomicU64,
    kept: AtomicU64,
    spent: OnceLock<Spent>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::new(Limits::MACHINE)
    }
}

impl Budget {
    /// One read of the disk: a call of the kernel's.
    const READ: u64 = 2_000;
    /// One small thing: a number out of a table, a part of a path.
    const STEP: u64 = 250;

    /// Nothing is spent yet.
    pub fn new(most: Limits) -> Budget {
        let zero = || AtomicU64::new(0);
        Budget { most, work: zero(), entries: zero(), kept: zero(), spent: OnceLock::new() }
    }

    /// For somebody who looks at one disk with several readers.
    pub fn shared() -> Arc<Budget> {
        Arc::new(Budget::default())
    }

    /// What ran out, if something did.
    pub fn spent(&self) -> Option<Spent> {
        self.spent.get().copied()
    }

    /// A read of so many bytes.
    ///
    /// # Errors
    /// [`Spent`], as all of these.
    pub fn read(&self, bytes: u64) -> Result<(), Spent> {
        self.take(&self.work, Self::READ + bytes / 2, self.most.work, Spent::Work)
    }

    /// So many small things.
    ///
    /// # Errors
    /// See [`Budget::read`].
    pub fn steps(&self, count: u64) -> Result<(), Spent> {
        self.take(&self.work, count.saturating_mul(Self::STEP), self.most.work, Spent::Work)
    }

    /// One small thing.
    ///
    /// # Errors
    /// See [`Budget::read`].
    pub fn step(&self) -> Result<(), Spent> {
        self.steps(1)
    }

    /// A name in a folder.
    ///
    /// # Errors
    /// See [`Budget::read`].
    pub fn entry(&self) -> Result<(), Spent> {
        self.step()?;
        self.take(&self.entries, 1, self.most.entries, Spent::Entries(self.most.entries))
    }

    /// Bytes that stay in memory.
    ///
    /// # Errors
    /// See [`Budget::read`].
    pub fn keep(&self, bytes: usize) -> Result<(), Spent> {
        self.take(&self.kept, bytes as u64, self.most.kept, Spent::Kept(self.most.kept))
    }

    /// A folder that lies so deep.
    ///
    /// # Errors
    /// See [`Budget::read`].
    pub fn depth(&self, depth: usize) -> Result<(), Spent> {
        if depth > MOST_DEPTH { Err(*self.spent.get_or_init(|| Spent::Depth)) } else { self.check() }
    }

    fn check(&self) -> Result<(), Spent> {
        self.spent().map_or(Ok(()), Err)
    }

    fn take(&self, of: &AtomicU64, count: u64, most: u64, why: Spent) -> Result<(), Spent> {
        self.check()?;
        // What is added is far below what would overflow, and nothing is added after the limit.
        let before = of.fetch_add(count.min(most.saturating_add(1)), Ordering::Relaxed);
        if before.saturating_add(count) > most { Err(*self.spent.get_or_init(|| why)) } else { Ok(()) }
    }
}

impl From<Spent> for std::io::Error {
    fn from(spent: Spent) -> std::io::Error {
        std::io::Error::other(spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_out_stays_so_for_everybody() {
        let budget = Budget::new(Limits { work: 1_000_000, entries: 3, kept: 10 });
        budget.keep(10).unwrap();
        for _ in 0..3 {
            budget.entry().unwrap();
        }
        assert_eq!((budget.spent(), budget.entry()), (None, Err(Spent::Entries(3))));
        assert_eq!((budget.read(1), budget.keep(0), budget.depth(1)), {
            let spent = Err(Spent::Entries(3));
            (spent, spent, spent)
        });
        let budget = Budget::new(Limits { work: 1_000_000, entries: 3, kept: 10 });
        assert_eq!(budget.read(u64::MAX), Err(Spent::Work));
        let budget = Budget::default();
        assert_eq!(budget.keep(usize::MAX), Err(Spent::Kept(32 << 20)));
        let budget = Budget::default();
        budget.depth(MOST_DEPTH).unwrap();
        assert_eq!(budget.depth(MOST_DEPTH + 1), Err(Spent::Depth));
        assert_eq!(budget.spent(), Some(Spent::Depth));
    }

    #[test]
    fn everything_has_its_price() {
        let of = |work| Budget::new(Limits { work, entries: 9, kept: 9 });
        let budget = of(1000);
        assert_eq!((budget.steps(3), budget.step(), budget.step()), (Ok(()), Ok(()), Err(Spent::Work)));
        assert_eq!(of(1000).steps(u64::MAX), Err(Spent::Work));
        assert_eq!((of(250).entry(), of(249).entry()), (Ok(()), Err(Spent::Work)));
        // Reading costs a call and half a nanosecond for each byte.
        assert_eq!((of(2500).read(1000), of(2499).read(1000)), (Ok(()), Err(Spent::Work)));
        let many = "what describes it has more than 32 MiB: it is damaged or hostile";
        assert_eq!(Spent::Kept(32 << 20).to_string(), many);
    }
}
