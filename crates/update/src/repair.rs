//! The boot partition as it should be, and the machine's record made anew where it is lost.

use cairn_boot::Record;
use cairn_observe::Observed;

use crate::change::Change;
use crate::menu::{BootMenu, Occasion};
use crate::session::Session;

/// What is to be done.
#[derive(Debug)]
pub struct Repair {
    /// The steps.
    pub change: Change,
    /// The boot partitions that they are for.
    pub menu: BootMenu<'static>,
    /// What is not as it should be, in words.
    pub words: Vec<String>,
    /// What stays as it is, and why.
    pub doubts: Vec<String>,
}

/// Works out what is to be done.
///
/// # Errors
/// What cannot be done is refused.
pub fn plan(session: &Session) -> anyhow::Result<Repair> {
    let observed = &session.observed;
    let menu = session.menu(&[])?;
    let mut record = match &observed.record {
        Some(record) => record.clone(),
        None => restored(observed, &menu)?,
    };
    record.seed = Some(observed.seed()?);
    menu.settle(&mut record)?;
    record.keep_only(&observed.numbers());
    let planned = menu.plan_to_apply(&record, Occasion::Repair)?;
    let (words, doubts) = (planned.words(), planned.doubts().to_vec());
    let mut change = Change::default();
    planned.into_stages(&mut record, &mut change);
    Ok(Repair { change, menu, words, doubts })
}

/// What can be known without the record: an entry without a counter is of a generation that has booted well.
fn restored(observed: &Observed<'_>, menu: &BootMenu<'_>) -> anyhow::Result<Record> {
    let mut record = observed.record_or_new();
    for entry in menu.survey(&record)?.entries {
        match entry.counter {
            None => drop(record.good.insert(entry.number)),
            Some(counter) if counter.left == 0 => drop(record.failed.insert(entry.number)),
            Some(_) => {}
        }
    }
    Ok(record)
}
