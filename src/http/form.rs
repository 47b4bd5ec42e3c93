// Forms without files: the URL standard's application/x-www-form-urlencoded.

use super::body::Body;
use super::reply::Error;
use super::status::Status;
use super::target::form_pairs;
use crate::deferred::Deferred;
use std::fmt;

/// The fields of a form, in order; [`Body::form`] gives it.
///
/// `Debug` shows the names and no values: passwords are sent so.
///
/// ```
/// use ropewalk::http::{Request, leaf};
///
/// let sign_up = leaf(async |request: Request| {
///     let form = request.body().form().await?;
///     Ok(format!("welcome, {}", form.get("name").unwrap_or("stranger")))
/// });
/// # let _ = sign_up;
/// ```
#[derive(Clone, PartialEq, Eq)]
#[doc(alias = "args")]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form; `None` for an escape that is none, or one that makes no UTF-8.
    ///
    /// ```
    /// use ropewalk::http::Form;
    ///
    /// let form = Form::parse("name=Ann+Lee&tag=a&tag=%C3%A4").unwrap();
    /// assert_eq!(form.get("name"), Some("Ann Lee"));
    /// assert_eq!(form.all("tag").collect::<Vec<_>>(), ["a", "ä"]);
    /// assert_eq!(Form::parse("a=%zz"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Form> {
        let pairs = form_pairs(text).map(|pair| {
            let (name, value) = pair.ok()?;
            Some((name.into_owned(), value.into_owned()))
        });
        pairs.collect::<Option<_>>().map(Form)
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a name, in order.
    pub fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        self.iter().filter(move |(found, _)| *found == name).map(|(_, value)| value)
    }

    /// All names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl Body {
    /// The fields of a form without files, within the site's [`whole_body`](super::Limits::whole_body).
    ///
    /// Fails with an [`Error`] of 415 if the body says that it is something else, of 400 if it cannot be read.
    pub fn form(self) -> Deferred<Form> {
        let kind = self.content_type().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let message = "the content type is not application/x-www-form-urlencoded";
            return crate::fail(Error::new(Status::UNSUPPORTED_MEDIA_TYPE, message));
        }
        self.text().add_callback(|text| {
            let form = Form::parse(&text);
            Ok(form.ok_or(Error::new(Status::BAD_REQUEST, "an escape in the form is none"))?)
        })
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
