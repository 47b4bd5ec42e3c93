//! A failure beside the error types of others: `Box<dyn Error>`, thiserror's, anyhow's.
//!
//! A `Failure` cannot be a standard error itself, or `From` of every error would cover it twice. It
//! derefs to one, which is what thiserror asks of a `#[from]`, and becomes one as [`FailureError`].
//! Whatever comes back and holds a `FailureError` is the same failure again, with its place.

use super::Failure;
use std::backtrace::Backtrace;
use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::panic::Location;

impl Failure {
    /// The failure as a standard error, for whatever asks for one.
    ///
    /// `?` does that for a `Box<dyn Error>`. Back again, by `?` or by
    /// [`from_boxed`](Failure::from_boxed), it is the same failure.
    ///
    /// ```
    /// use ropewalk::Failure;
    ///
    /// let error = Failure::msg("no greeting").into_error();
    /// assert_eq!(error.to_string(), "no greeting");
    /// let error = std::io::Error::other(error);
    /// assert_eq!(error.to_string(), "no greeting");
    /// ```
    pub fn into_error(self) -> FailureError {
        FailureError(self)
    }

    /// Makes a failure of an error in a box, or of anything that becomes one, as a text or an
    /// `anyhow::Error` does.
    ///
    /// What was a failure before is the same failure again.
    ///
    /// ```
    /// use ropewalk::Failure;
    /// use std::{error::Error, num::ParseIntError};
    ///
    /// fn parse(text: &str) -> Result<u32, Box<dyn Error + Send + Sync>> {
    ///     Ok(text.parse()?)
    /// }
    /// let failure = parse("seven").map_err(Failure::from_boxed).unwrap_err();
    /// assert!(failure.is::<ParseIntError>());
    /// ```
    #[track_caller]
    pub fn from_boxed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        match error.into().downcast::<FailureError>() {
            Ok(same) => same.0,
            Err(error) => {
                let (location, backtrace) = (Some(Location::caller()), Backtrace::capture());
                Failure::whole(location, error, backtrace)
            }
        }
    }

    /// Makes a failure of an error in a box that may not go to other threads, as a failure may.
    ///
    /// What was a failure before is the same failure again. Of any other error its texts are kept, and
    /// those of its sources; its type is lost.
    ///
    /// ```
    /// use ropewalk::Failure;
    /// use std::error::Error;
    ///
    /// fn greet() -> Result<(), Box<dyn Error>> {
    ///     Err(Failure::from(std::fmt::Error))?
    /// }
    /// let failure = greet().map_err(Failure::from_local).unwrap_err();
    /// assert!(failure.is::<std::fmt::Error>());
    /// ```
    #[track_caller]
    pub fn from_local(error: Box<dyn Error>) -> Failure {
        match error.downcast::<FailureError>() {
            Ok(same) => same.0,
            Err(error) => Failure::at(Location::caller(), Told::of(&*error)),
        }
    }
}

/// A [`Failure`] as a standard error; see [`Failure::into_error`].
///
/// It shows what the failure shows, and its source is what lies under the failure's error.
///
/// ```
/// use ropewalk::{Failure, FailureError};
/// use std::error::Error;
///
/// let boxed: Box<dyn Error> = Failure::from(std::fmt::Error).into();
/// let error = boxed.downcast_ref::<FailureError>().unwrap();
/// assert!(error.failure().is::<std::fmt::Error>());
/// ```
#[derive(Clone)]
pub struct FailureError(Failure);

impl FailureError {
    /// The failure.
    ///
    /// ```
    /// let error = ropewalk::Failure::msg("no").into_error();
    /// assert!(error.failure().location().unwrap().line() < line!());
    /// ```
    pub fn failure(&self) -> &Failure {
        &self.0
    }
}

impl fmt::Display for FailureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The whole story, for a `main` that returns a `Box<dyn Error>`.
impl fmt::Debug for FailureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Error for FailureError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The error that the failure is about, for whatever asks for a standard error by reference.
///
/// ```
/// use ropewalk::Failure;
/// use std::error::Error;
///
/// fn depth(error: &(dyn Error + 'static)) -> usize {
///     std::iter::successors(Some(error), |&error| error.source()).count()
/// }
/// assert_eq!(depth(&*Failure::msg("alone")), 1);
/// ```
impl Deref for Failure {
    type Target = dyn Error + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        self.error()
    }
}

impl From<Failure> for Box<dyn Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        Box::new(FailureError(failure))
    }
}

impl From<Failure> for Box<dyn Error> {
    fn from(failure: Failure) -> Self {
        Box::new(FailureError(failure))
    }
}

/// What is left of an error that may not leave its thread.
#[derive(Debug)]
struct Told {
    text: String,
    source: Option<Box<Told>>,
}

impl Told {
    fn of(error: &(dyn Error + 'static)) -> Told {
        let texts: Vec<_> = std::iter::successors(Some(error), |&error| error.source())
            .map(ToString::to_string)
            .collect();
        let mut told = Told { text: String::new(), source: None };
        for (index, text) in texts.into_iter().rev().enumerate() {
            let source = (index > 0).then(|| Box::new(told));
            told = Told { text, source };
        }
        told
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
