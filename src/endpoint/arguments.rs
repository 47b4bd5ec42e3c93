//! The arguments of one description, by name: each is taken once, and none is left over.

use super::grammar::{Argument, Description, EndpointError, Word};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

type Result<T> = std::result::Result<T, EndpointError>;

pub(super) struct Arguments<'a> {
    text: &'a str,
    given: Vec<(&'static str, Word)>,
}

impl<'a> Arguments<'a> {
    /// Gives each argument its name: the positional ones take `names` in order.
    pub(super) fn new(
        text: &'a str,
        description: Description,
        names: &'static [&'static str],
    ) -> Result<Arguments<'a>> {
        let mut arguments = Arguments { text, given: Vec::new() };
        let mut in_order = names.iter().copied();
        for Argument { keyword, value } in description.arguments {
            let (name, at) = match keyword {
                Some(keyword) => (arguments.known(&keyword, names)?, keyword.at),
                None => {
                    let next = in_order.next();
                    let too_many = || arguments.too_many(&value, names);
                    (next.ok_or_else(too_many)?, value.at.clone())
                }
            };
            if arguments.given.iter().any(|(given, _)| *given == name) {
                return Err(EndpointError::new(text, at, format!("the {name} is given twice")));
            }
            arguments.given.push((name, value));
        }
        Ok(arguments)
    }

    fn known(&self, keyword: &Word, names: &[&'static str]) -> Result<&'static str> {
        let found = names.iter().find(|name| name.eq_ignore_ascii_case(&keyword.text));
        found.copied().ok_or_else(|| {
            let problem = match names {
                [] => "it takes no arguments".to_owned(),
                _ => format!("there is no such keyword here, only {}", names.join(", ")),
            };
            EndpointError::new(self.text, keyword.at.clone(), problem)
        })
    }

    fn too_many(&self, value: &Word, names: &[&str]) -> EndpointError {
        let problem = match names {
            [] => "it takes no arguments".to_owned(),
            _ => format!("there are too many arguments; it takes {}", names.join(", ")),
        };
        EndpointError::new(self.text, value.at.clone(), problem)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Word> {
        let position = self.given.iter().position(|(given, _)| *given == name)?;
        Some(self.given.swap_remove(position).1)
    }

    #[cfg(feature = "tls")]
    pub(super) fn look(&self, name: &str) -> Option<&Word> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, word)| word)
    }

    pub(super) fn require(&mut self, name: &str) -> Result<Word> {
        self.take(name).ok_or_else(|| {
            let end = self.text.len();
            EndpointError::new(self.text, end..end, format!("the {name} is missing"))
        })
    }

    /// What belongs to the description that another argument holds is not said beside it.
    #[cfg(feature = "tls")]
    pub(super) fn refuse_beside_endpoint(&mut self, names: &[&str]) -> Result<()> {
        match names.iter().find_map(|name| Some((name, self.take(name)?))) {
            Some((name, word)) => {
                Err(self.bad(&word, format!("the {name} is the endpoint's within: say it there")))
            }
            None => Ok(()),
        }
    }

    /// A text that is not empty.
    pub(super) fn filled(&mut self, name: &str) -> Result<Word> {
        match self.require(name)? {
            word if word.text.is_empty() => Err(self.bad(&word, format!("the {name} is missing"))),
            word => Ok(word),
        }
    }

    pub(super) fn bad(&self, word: &Word, problem: impl Into<String>) -> EndpointError {
        EndpointError::new(self.text, word.at.clone(), problem)
    }

    pub(super) fn port(&mut self) -> Result<u16> {
        let word = self.require("port")?;
        let number = digits(&word.text);
        number.ok_or_else(|| self.bad(&word, "the port is a number from 0 to 65535"))
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<u32>> {
        let Some(word) = self.take(name) else { return Ok(None) };
        match digits(&word.text) {
            Some(number) => Ok(Some(number)),
            None => Err(self.bad(&word, format!("the {name} is a number"))),
        }
    }

    pub(super) fn octal(&mut self, name: &str) -> Result<Option<u32>> {
        let Some(word) = self.take(name) else { return Ok(None) };
        match u32::from_str_radix(&word.text, 8) {
            Ok(number) if number <= 0o7777 => Ok(Some(number)),
            _ => Err(self.bad(&word, format!("the {name} is an octal number"))),
        }
    }

    pub(super) fn seconds(&mut self, name: &str) -> Result<Option<Duration>> {
        let Some(word) = self.take(name) else { return Ok(None) };
        let seconds = word.text.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
        match seconds {
            Some(duration) => Ok(Some(duration)),
            None => Err(self.bad(&word, format!("the {name} is a number of seconds"))),
        }
    }

    /// An IP address; one of IPv6 may have a scope, which is looked at when the address is used.
    pub(super) fn ip(&mut self, name: &str) -> Result<Option<String>> {
        let Some(word) = self.take(name) else { return Ok(None) };
        let is_ip = match word.text.split_once('%') {
            Some((ip, scope)) => ip.parse::<Ipv6Addr>().is_ok() && !scope.is_empty(),
            None => word.text.parse::<IpAddr>().is_ok(),
        };
        match is_ip {
            true => Ok(Some(word.text)),
            false => Err(self.bad(&word, format!("the {name} is an IP address"))),
        }
    }
}

/// A number written in digits alone; the standard parser takes a sign as well.
pub(super) fn digits<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
