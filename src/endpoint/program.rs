//! A program whose standard input and output are the connection.

use super::grammar::{Argument, Description, EndpointError, quote};
use crate::failure::Result;
use crate::net::connection::Connection;
use crate::process::{ProcessOptions, connect};
use crate::reactor::Reactor;
use std::fmt;
use std::rc::Rc;

/// What `process:/bin/cat:-u` names.
#[derive(Clone, Debug)]
pub(super) struct Program {
    name: String,
    arguments: Vec<String>,
}

impl Program {
    pub(super) fn new<A: Into<String>>(
        name: impl Into<String>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Program {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Program { name: name.into(), arguments }
    }

    /// Every argument is one of the program's, also an empty one; none has a keyword.
    pub(super) fn parse(
        text: &str,
        description: Description,
    ) -> std::result::Result<Program, EndpointError> {
        let mut words = Vec::new();
        for Argument { keyword, value } in description.arguments {
            if let Some(keyword) = keyword {
                let problem = r"a program's arguments have no keywords: write \= for =";
                return Err(EndpointError::new(text, keyword.at, problem));
            }
            words.push(value.text);
        }
        let mut words = words.into_iter();
        match words.next() {
            Some(name) if !name.is_empty() => Ok(Program { name, arguments: words.collect() }),
            _ => {
                let end = description.kind.at.end;
                Err(EndpointError::new(text, end..text.len(), "the program is missing"))
            }
        }
    }

    pub(super) fn start(&self, reactor: &Reactor) -> Result<Rc<Connection>> {
        connect(reactor, ProcessOptions::new(&self.name).args(&self.arguments))
    }
}

/// As a description.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process:{}", quote(&self.name))?;
        self.arguments.iter().try_for_each(|argument| write!(f, ":{}", quote(argument)))
    }
}
