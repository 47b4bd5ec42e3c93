// Resources that lead to others: a tree, a redirection, hosts by their names.

use super::answering::Pages;
use super::reply::{Error, IntoReply, Reply};
use super::request::Request;
use super::resource::Resource;
use super::response::Response;
use super::status::Status;
use crate::failure::Result;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// Resources by their names, as Twisted's `Resource` has children.
///
/// What is behind the last slash is a name too: `/` is the child called `""`.
///
/// ```
/// use ropewalk::http::{Request, Site, Tree, leaf};
///
/// let notes = Tree::new();
/// notes.put("", leaf(|_: &Request| Ok("all notes")));
/// notes.put("new", leaf(|_: &Request| Ok("a form")));
/// let root = Tree::new();
/// root.put("", leaf(|_: &Request| Ok("welcome")));
/// root.put("notes", notes); // /notes/ and /notes/new
/// let site = Site::new(root);
/// # drop(site);
/// ```
#[derive(Clone, Default)]
#[doc(alias = "putChild")]
pub struct Tree {
    shared: Rc<Branch>,
}

#[derive(Default)]
struct Branch {
    /// Borrowed to find one, or to add or take one.
    children: RefCell<BTreeMap<Box<str>, Rc<dyn Resource>>>,
    own: Option<Rc<dyn Resource>>,
}

impl Tree {
    /// A tree without children, that is itself not found.
    pub fn new() -> Tree {
        Tree::default()
    }

    /// A tree that answers for itself by another resource: at `/notes`, not at `/notes/`.
    pub fn of(own: impl Resource + 'static) -> Tree {
        let branch = Branch { own: Some(Rc::new(own)), ..Branch::default() };
        Tree { shared: Rc::new(branch) }
    }

    /// Puts a child in its place, now or while requests are served; gives the former one.
    #[doc(alias = "put_child")]
    pub fn put(&self, name: &str, child: impl Resource + 'static) -> Option<Rc<dyn Resource>> {
        self.shared.children.borrow_mut().insert(name.into(), Rc::new(child))
    }

    /// Takes a child away.
    #[doc(alias = "delEntity")]
    pub fn remove(&self, name: &str) -> Option<Rc<dyn Resource>> {
        self.shared.children.borrow_mut().remove(name)
    }
}

impl Resource for Tree {
    fn child(&self, segment: &str, _: &Request) -> Option<Rc<dyn Resource>> {
        self.shared.children.borrow().get(segment).cloned()
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        match &self.shared.own {
            Some(own) => own.render(request),
            None => Ok(Status::NOT_FOUND.into_reply()),
        }
    }
}

/// Sends everybody elsewhere, with 302 unless told.
///
/// ```
/// use ropewalk::http::{Redirect, Status, Tree};
///
/// let root = Tree::new();
/// root.put("old", Redirect::new("/new")?);
/// root.put("older", Redirect::new("/new")?.with_status(Status::PERMANENT_REDIRECT));
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
#[derive(Clone, Debug)]
pub struct Redirect {
    to: Rc<str>,
    status: Status,
}

impl Redirect {
    /// To a URL, or to a path of this site.
    pub fn new(to: &str) -> Result<Redirect, super::InvalidHeader> {
        // So that it can be set later without a failure.
        Response::new(Status::FOUND).header("Location", to)?;
        Ok(Redirect { to: to.into(), status: Status::FOUND })
    }

    /// By another status: 301, 303, 307, 308.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Redirect {
        self.status = status;
        self
    }
}

impl Resource for Redirect {
    fn is_leaf(&self) -> bool {
        true
    }

    fn render(&self, _: &Request) -> Result<Reply> {
        Ok(Response::new(self.status).header("Location", &*self.to)?.into_reply())
    }
}

/// A resource for each name that this server is called by.
///
/// The name is that of the target or of Host, without its port and in any case.
///
/// ```
/// use ropewalk::http::{Request, Site, VirtualHosts, leaf};
///
/// let hosts = VirtualHosts::new(leaf(|_: &Request| Ok("whoever you look for")))
///     .add("example.com", leaf(|_: &Request| Ok("the example")))
///     .add("static.example.com", leaf(|_: &Request| Ok("files")));
/// let site = Site::new(hosts);
/// # drop(site);
/// ```
#[derive(Clone)]
#[doc(alias = "NameVirtualHost")]
pub struct VirtualHosts {
    hosts: BTreeMap<Box<str>, Rc<dyn Resource>>,
    others: Rc<dyn Resource>,
}

impl VirtualHosts {
    /// Hosts that are not added go to `others`.
    pub fn new(others: impl Resource + 'static) -> VirtualHosts {
        VirtualHosts { hosts: BTreeMap::new(), others: Rc::new(others) }
    }

    /// One host more.
    #[must_use]
    #[doc(alias = "addHost")]
    pub fn add(mut self, name: &str, resource: impl Resource + 'static) -> VirtualHosts {
        self.hosts.insert(name.to_ascii_lowercase().into(), Rc::new(resource));
        self
    }
}

impl Resource for VirtualHosts {
    fn is_leaf(&self) -> bool {
        true
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        let name = request.host_name().map(|name| name.to_ascii_lowercase());
        let found = name.and_then(|name| self.hosts.get(&name[..]));
        request.render_by(found.unwrap_or(&self.others))
    }
}

/// Pages for the errors of the resource below: those that it fails with, its 404s, and the 500 of one that
/// fails otherwise.
///
/// What is refused before there is a request has no page.
///
/// ```
/// use ropewalk::http::{ErrorPages, Response, Site, Tree};
///
/// let site = Site::new(ErrorPages::new(Tree::new(), |request, error| {
///     let page = format!("<h1>{}</h1><p>{}</p>", error.status(), error.message());
///     Response::from(page).header("Content-Type", "text/html; charset=utf-8").unwrap_or_default()
/// }));
/// # drop(site);
/// ```
#[doc(alias = "ErrorPage")]
pub struct ErrorPages {
    below: Rc<dyn Resource>,
    pages: Pages,
}

impl ErrorPages {
    /// Around a resource. The answer gets the error's status, whatever the page's is.
    pub fn new(
        below: impl Resource + 'static,
        page: impl Fn(&Request, &Error) -> Response + 'static,
    ) -> ErrorPages {
        ErrorPages { below: Rc::new(below), pages: Pages(Rc::new(page)) }
    }
}

impl Resource for ErrorPages {
    fn is_leaf(&self) -> bool {
        true
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        request.set_context(self.pages.clone());
        request.render_by(&self.below)
    }
}

impl fmt::Debug for ErrorPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorPages").finish_non_exhaustive()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("children", &self.shared.children.borrow().len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for VirtualHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualHosts").field("hosts", &self.hosts.len()).finish_non_exhaustive()
    }
}
