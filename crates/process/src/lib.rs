//! The one door for child processes, the way in which long work tells how far it is, and the errors that say how a command ends.
//!
//! A child is started by [`Tool`], which names the missing program with the package that has it and the reason it is
//! needed, keeps the end of its standard error for the message, and can be stopped by [`stop_children`] on Ctrl-C. What it
//! says is a stranger's text; [`text`] makes such fit for a terminal.

mod asked;
mod children;
mod ending;
mod left;
mod pages;
mod report;
mod running;
pub mod text;
mod tool;

pub use asked::{Asked, ask_to_end, go_on};
pub use children::{children_clean_up, running_children, stop_children};
pub use ending::{AfterWrite, Refusal, Usage};
pub use left::{left, set_left};
pub use pages::stay_in_memory;
pub use report::{Quiet, Report};
pub use running::Running;
pub use tool::{Tool, ToolError, find};
