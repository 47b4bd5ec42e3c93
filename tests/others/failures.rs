//! A failure beside the error types of others, there and back.

use ropewalk::{Failure, FailureError, Result, fail};
use std::error::Error;
use std::num::ParseIntError;
use std::rc::Rc;
use std::{fmt, io};

type Sendable<T> = Result<T, Box<dyn Error + Send + Sync>>;
type Local<T> = Result<T, Box<dyn Error>>;

/// Fails in the line after this one.
fn fails() -> Result<u32> {
    Ok("x".parse::<u32>()?)
}
const LINE: u32 = line!() - 2;

#[allow(clippy::unwrap_used)] // Part of the tests.
fn assert_same(failure: &Failure) {
    assert!(failure.is::<ParseIntError>(), "{failure:?}");
    assert_eq!(
        (failure.location().unwrap().file(), failure.location().unwrap().line()),
        (file!(), LINE)
    );
}

#[test]
fn the_question_mark_makes_a_boxed_error_of_a_failure_and_back_it_is_the_same() {
    let sendable = || -> Sendable<u32> { Ok(fails()?) };
    let local = || -> Local<u32> { Ok(fails()?) };
    assert_same(&Failure::from_boxed(sendable().unwrap_err()));
    assert_same(&Failure::from_local(local().unwrap_err()));
    let text = fails().unwrap_err().to_string();
    assert_eq!(sendable().unwrap_err().to_string(), text);
    assert!(format!("{:?}", local().unwrap_err()).contains("arose at tests/others/failures.rs"));
}

#[test]
fn a_boxed_failure_still_knows_its_type_and_what_lies_under_it() {
    let inner = io::Error::other(fmt::Error);
    let boxed: Box<dyn Error + Send + Sync> = Failure::from(inner).into();
    let error = boxed.downcast_ref::<FailureError>().unwrap();
    assert!(error.failure().is::<io::Error>());
    assert_eq!(boxed.to_string(), fmt::Error.to_string());
}

#[test]
fn boxed_errors_that_were_no_failure_keep_their_type_and_get_the_place_of_their_conversion() {
    let boxed: Box<dyn Error + Send + Sync> = Box::new("x".parse::<u32>().unwrap_err());
    let (failure, line) = (Failure::from_boxed(boxed), line!());
    assert!(failure.is::<ParseIntError>());
    assert_eq!(
        (failure.location().unwrap().file(), failure.location().unwrap().line()),
        (file!(), line)
    );
    assert_eq!(Failure::from_boxed("a text").to_string(), "a text");
}

/// An error that may not leave its thread.
#[derive(Debug, thiserror::Error)]
#[error("local {0}")]
struct Own(Rc<u32>, #[source] fmt::Error);

#[test]
fn a_local_error_leaves_its_texts() {
    let failure = Failure::from_local(Box::new(Own(Rc::new(7), fmt::Error)));
    let texts: Vec<_> = failure.chain().map(ToString::to_string).collect();
    assert_eq!(texts, ["local 7".to_string(), fmt::Error.to_string()]);
}

#[test]
fn a_standard_error_made_of_a_failure_is_by_the_question_mark_the_same_failure() {
    let there_and_back = || -> Result<u32> { Ok(fails().map_err(Failure::into_error)?) };
    assert_same(&there_and_back().unwrap_err());
    let d = fail::<u32>(fails().unwrap_err().into_error());
    d.add_errback(|failure| {
        assert_same(&failure);
        Ok(0)
    });
}

#[derive(Debug, thiserror::Error)]
enum Application {
    #[error("network: {0}")]
    Network(#[from] Failure),
}

#[test]
fn the_question_mark_makes_an_error_of_thiserror_of_a_failure() {
    let application = || -> Result<u32, Application> { Ok(fails()?) };
    let error = application().unwrap_err();
    let Application::Network(failure) = &error;
    assert_same(failure);
    assert!(error.source().unwrap().is::<ParseIntError>());
    let back = || -> Result<u32> { Ok(application()?) };
    let failure = back().unwrap_err();
    assert!(failure.is::<Application>());
    assert!(failure.chain().nth(1).unwrap().is::<ParseIntError>());
}

#[test]
fn a_failure_becomes_an_error_of_anyhow_and_comes_back_the_same() {
    let any = || -> anyhow::Result<u32> { Ok(fails().map_err(Failure::into_error)?) };
    let error = any().unwrap_err();
    assert!(error.downcast_ref::<FailureError>().unwrap().failure().is::<ParseIntError>());
    assert_same(&error.downcast::<FailureError>().map(Failure::from).unwrap());
    let boxed = any().unwrap_err().reallocate_into_boxed_dyn_error_without_backtrace();
    assert_same(&Failure::from_boxed(boxed));
}

#[test]
fn an_error_of_anyhow_with_a_context_keeps_it_as_a_failure() {
    let error = anyhow::Error::new(fmt::Error).context("while greeting");
    let failure = Failure::from_boxed(error);
    let texts: Vec<_> = failure.chain().map(ToString::to_string).collect();
    assert_eq!(texts, ["while greeting".to_string(), fmt::Error.to_string()]);
}
