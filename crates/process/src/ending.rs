//! How a command ends when it does not simply succeed or fail: the errors that choose an exit code. Whoever refuses is deep in a
//! library, and the number is the command's.

/// A refusal: the command could have gone on, and chose not to. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// What is left after a failure in the middle of writing to a target, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AfterWrite(pub String);

/// A combination of arguments that makes no sense, where the parser cannot know it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);
