//! A command of a program: options, and the service that is made of them.

use super::status::{StartError, Status};
use crate::application::Application;
use crate::failure::Result;
use crate::service::Service;
use bpaf::Parser;
use std::fmt;
use std::rc::Rc;

/// What an application is made by, once its options were read.
pub(super) type Make = Box<dyn FnOnce() -> Result<Application, StartError>>;

/// A command of a [`Runner`](super::Runner): its name, what it is for, its options, and how a service is
/// made of them. A plugin is a function that gives one.
///
/// ```
/// use bpaf::{Parser, long};
/// use ropewalk::application::runner::ServiceMaker;
/// use ropewalk::prelude::*;
/// use ropewalk::service::{Running, service};
///
/// fn greet() -> ServiceMaker {
///     let port = long("port").short('p').help("Listen here").argument::<ServerEndpoint>("ENDPOINT");
///     ServiceMaker::new("greet", "Greets whoever connects", port, |port| {
///         Ok(service("greet", async move |up: Running| {
///             up.serve(&port, async |mut stream| Ok(stream.write_all(b"hello\r\n").await?))?;
///             up.ready();
///             Ok(up.stopping().await)
///         }))
///     })
/// }
/// assert_eq!(greet().name(), "greet");
/// ```
#[doc(alias = "IServiceMaker")]
pub struct ServiceMaker {
    name: &'static str,
    description: &'static str,
    pub(super) parser: Box<dyn Parser<Make>>,
}

impl ServiceMaker {
    /// A command of this name, whose options `options` reads and of which `make_service` makes a service.
    ///
    /// Options that are not understood are told with what was meant perhaps, status 64; a failure of
    /// `make_service` is one of the configuration, status 78, unless it is a [`StartError`].
    pub fn new<T, S>(
        name: &'static str,
        description: &'static str,
        options: impl Parser<T> + 'static,
        make_service: impl Fn(T) -> Result<S> + 'static,
    ) -> ServiceMaker
    where
        T: 'static,
        S: Service + 'static,
    {
        let make_service = Rc::new(make_service);
        let parser = options.map(move |options| {
            let make_service = make_service.clone();
            let make: Make = Box::new(move || match make_service(options) {
                Ok(service) => Ok(Application::new(name).add_service(service)),
                Err(failure) => Err(StartError::of_failure(&failure, Status::Configuration)),
            });
            make
        });
        ServiceMaker { name, description, parser: Box::new(parser) }
    }

    /// What it is called by.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is for.
    pub fn description(&self) -> &'static str {
        self.description
    }

    pub(super) fn into_command(self) -> Box<dyn Parser<Chosen>> {
        let name = self.name;
        let options = self.parser.to_options().descr(self.description);
        let chosen = options.command(name).help(self.description);
        Box::new(chosen.map(move |make| Chosen { name, make }))
    }
}

/// A command whose options were read.
pub(super) struct Chosen {
    pub(super) name: &'static str,
    pub(super) make: Make,
}

impl fmt::Debug for ServiceMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceMaker").field("name", &self.name).finish_non_exhaustive()
    }
}
