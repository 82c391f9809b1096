//! The installer. So far its first step: finding out which hardware it stands on.

pub mod hardware;
