//! One file per command. Each takes its arguments and says how it ended.

pub mod boot;
pub mod build;
pub mod capture;
pub mod check;
pub mod diff;
pub mod disks;
mod failed;
pub mod gc;
pub mod generations;
mod guided;
pub mod hardware;
pub mod init;
pub mod inspect;
pub mod install;
pub mod lock;
pub mod medium;
mod over;
mod recorded;
pub mod rehearse;
pub mod rollback;
pub mod run;
mod said;
pub mod schema;
pub mod upgrade;
pub mod verify;

use cairn_update::Change;
use serde_json::{Value, json};

use crate::ui::Ui;

/// Says what a change would do, for `--dry-run`; `answer` is what is said when it is done.
fn would(change: &Change, mut answer: Value, ui: &Ui) -> anyhow::Result<()> {
    if ui.json() {
        answer["dry_run"] = json!(true);
        answer["change"] = json!(change);
        return ui.object(&answer);
    }
    let words = change.words();
    if words.is_empty() {
        return ui.line("nothing would be changed");
    }
    words.into_iter().try_for_each(|word| ui.line(format_args!("would {word}")))
}
