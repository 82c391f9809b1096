//! What is left if the command is ended now: said by whoever ends it, since the work itself does not get to speak any more.

use std::sync::{Mutex, PoisonError};

static LEFT: Mutex<Option<String>> = Mutex::new(None);

/// From now on this is what is left; nothing, once all is done or as it was.
pub fn set_left(text: Option<&str>) {
    *LEFT.lock().unwrap_or_else(PoisonError::into_inner) = text.map(str::to_string);
}

/// What is left.
pub fn left() -> Option<String> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
