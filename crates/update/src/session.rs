//! A machine that is to be changed, or looked at as if it were: its turn, its store, and what there is.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::{Record, RecordError};
use cairn_observe::{Observed, Usable, view};
use cairn_process::{Refusal, Report};
use cairn_root::Root;
use cairn_store::MachineStore;

use crate::menu::BootMenu;
use crate::reserve;
use crate::turn::{self, Turn};

/// What a change needs of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Its links and boot partitions.
    Menu,
    /// Its store as well.
    Store,
    /// Its store, to make room: what was set aside for that is given back first.
    Room,
}

/// A machine that is to be changed.
#[derive(Debug)]
pub struct Session {
    /// Its root.
    pub root: Root,
    /// Its store, where it is needed.
    pub store: Option<MachineStore>,
    /// What there is.
    pub observed: Observed<'static>,
    /// Where this user keeps what was made: for a machine that does not run here. Nothing where there is no such place.
    pub cache: Option<PathBuf>,
    turn: Option<Turn>,
}

impl Session {
    /// Takes the turn on the machine with this root, opens its store and looks at it.
    ///
    /// # Errors
    /// What is no machine, and what cannot be changed, is refused.
    pub fn begin(path: &Path, needs: Needs, cache: Option<PathBuf>, report: &dyn Report) -> anyhow::Result<Session> {
        let turn = Some(Turn::take(path, report)?);
        let store = match needs {
            Needs::Menu => None,
            Needs::Store | Needs::Room => {
                if needs == Needs::Room {
                    reserve::give(&turn::root(path)?);
                }
                // Before anything else is opened on it: the store is written in a namespace of this thread's own.
                Some(MachineStore::open(path)?)
            }
        };
        let session = Session { turn, store, ..Session::look(path, cache)? };
        match &session.observed.record_problem {
            // Whoever wrote it knows more than this Cairn, which would take it for lost and write another.
            Some(later @ RecordError::Later(_)) => Err(Refusal(later.to_string()).into()),
            _ => Ok(session),
        }
    }

    /// Looks at the machine with this root, and changes nothing.
    ///
    /// # Errors
    /// What is no machine is refused.
    pub fn look(path: &Path, cache: Option<PathBuf>) -> anyhow::Result<Session> {
        let root = turn::root(path)?;
        let observed = Observed::of(view::folder(path)?)?;
        Ok(Session { root, store: None, observed, cache, turn: None })
    }

    /// Whether this session may change the machine.
    pub fn may_change(&self) -> bool {
        self.turn.is_some()
    }

    /// The store, which a session has that began with the need for it.
    ///
    /// # Errors
    /// In any other session.
    pub fn store(&self) -> anyhow::Result<&MachineStore> {
        self.store.as_ref().context("the store is not open")
    }

    /// The boot partitions as they should be; `more` are generations that do not have a link yet.
    ///
    /// # Errors
    /// See [`BootMenu::open`].
    pub fn menu(&self, more: &[&Usable<'static>]) -> anyhow::Result<BootMenu<'static>> {
        Ok(BootMenu::open(&self.observed, more, self.cache.as_deref())?.signing(self.may_change()))
    }

    /// The machine's record, with what the loader has counted since it was written.
    ///
    /// # Errors
    /// What reading the boot partitions meets.
    pub fn settled(&self, menu: &BootMenu<'_>) -> anyhow::Result<Record> {
        let mut record = self.observed.record_or_new();
        record.seed = Some(self.observed.seed()?);
        menu.settle(&mut record)?;
        Ok(record)
    }

    /// Tells of generations that cannot be booted. They are no reason to stop, but nothing is removed while there are some.
    pub fn tell_broken(&self, report: &dyn Report) {
        for (number, broken) in &self.observed.broken {
            let why = &broken.why;
            report.note(&format!("generation {number} is left out: {why}; nothing is removed from the boot partition"));
        }
    }
}
