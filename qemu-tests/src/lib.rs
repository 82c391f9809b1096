//! Scenarios that boot real machines with the built command.
