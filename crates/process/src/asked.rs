//! Whether somebody has asked that the command ends. It is ended in any case, after a moment; work that looks for this can use the moment
//! to stop where it is best, or to take back what it has begun.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// The command was asked to end.
#[derive(Debug, thiserror::Error)]
#[error("it was asked to end")]
pub struct Asked;

/// From now on [`go_on`] refuses.
pub fn ask_to_end() {
    ASKED.store(true, Ordering::SeqCst);
}

/// Whether work may go on to its next step.
///
/// # Errors
/// When somebody has asked that the command ends.
pub fn go_on() -> Result<(), Asked> {
    if ASKED.load(Ordering::SeqCst) { Err(Asked) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_goes_on_until_somebody_asks() {
        assert!(go_on().is_ok());
        ask_to_end();
        assert_eq!(go_on().unwrap_err().to_string(), "it was asked to end");
    }
}
