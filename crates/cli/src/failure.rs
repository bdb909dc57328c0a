//! How the command line fails: one clear sentence with cause and way out, and an exit code.

use std::fmt;

/// What went wrong, ready to be shown.
#[derive(Debug)]
pub struct Failure {
    message: String,
    exit: u8,
}

impl Failure {
    /// The command was used wrongly, or what it was given is wrong. Exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: 2 }
    }

    /// Something failed while running. Exit code 1.
    pub fn runtime(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: 1 }
    }

    /// With `error: ` before it, where that is missing.
    #[must_use]
    pub fn into_error(self) -> Self {
        if self.message.starts_with("error") {
            return self;
        }
        Self { message: format!("error: {}", self.message), ..self }
    }

    /// The exit code: 2 for usage and configuration, 1 for what failed while running.
    pub fn exit(&self) -> u8 {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
