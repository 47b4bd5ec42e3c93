// Handlers by the pattern of their path and by their method.
//
// # Theory
// Patterns are a tree of segments. At each node a text is preferred to a name, and a name to a rest; where
// the preferred way leads nowhere the next one is tried. What a name stands for is not kept: the
// request knows its path, and the endpoint knows which segment it is.
//
// # Invariants
// * No two endpoints of one shape have the same method: who adds the second is told both places.

use super::method::Method;
use super::names::Names;
use super::reply::{Error, IntoReply, Reply};
use super::request::Request;
use super::resource::{Handler, Leaf, Resource};
use super::response::Response;
use super::status::Status;
use super::target::percent_decode;
use crate::failure::Result;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// Handlers by pattern and method.
///
/// A segment of a pattern is a text, a name in braces for any one segment, or at the end a name with a star
/// for any rest: `/notes/{id}`, `/files/{*path}`. Texts go before names, and names before rests, so the
/// order in which they are added does not matter. HEAD is answered by GET, OPTIONS by itself; another method
/// than those of the path is 405 with `Allow`, one that nobody knows 501.
///
/// ```
/// use ropewalk::http::{Request, Routes, Site};
///
/// let mut routes = Routes::new();
/// routes.get("/", |_: &Request| Ok("welcome"))?;
/// routes.get("/notes/{id}", async |request: Request| {
///     Ok(request.param("id").map(|id| format!("the note {id}")))
/// })?;
/// routes.post("/notes", async |request: Request| {
///     let text = request.body().text().await?;
///     Ok(format!("{} bytes noted", text.len()))
/// })?;
/// let again = routes.get("/notes/{number}", |_: &Request| Ok("another")).unwrap_err();
/// assert!(again.to_string().starts_with("GET /notes/{number} is there already, as /notes/{id} from "));
/// let site = Site::new(routes);
/// # drop(site);
/// # Ok::<(), ropewalk::http::RouteError>(())
/// ```
#[derive(Default)]
#[doc(alias = "Router")]
pub struct Routes {
    root: Node,
}

#[derive(Default)]
struct Node {
    texts: BTreeMap<Box<str>, Node>,
    name: Option<Box<Node>>,
    /// What ends here.
    end: Endpoint,
    /// What takes all that follows.
    rest: Endpoint,
    /// Another resource for what is below.
    mount: Option<Mount>,
}

#[derive(Default)]
struct Endpoint {
    methods: Vec<Route>,
}

struct Route {
    /// `None` is any.
    method: Option<Method>,
    resource: Rc<dyn Resource>,
    names: Rc<Names>,
    pattern: Box<str>,
    place: &'static Location<'static>,
}

struct Mount {
    resource: Rc<dyn Resource>,
    pattern: Box<str>,
    place: &'static Location<'static>,
}

/// Why a route cannot be added.
///
/// ```
/// use ropewalk::http::{Request, RouteError, Routes};
///
/// let mut routes = Routes::new();
/// let add = |routes: &mut Routes, pattern| {
///     routes.get(pattern, |_: &Request| Ok("here")).map(|_| ())
/// };
/// assert!(matches!(add(&mut routes, "notes"), Err(RouteError::Pattern { .. })));
/// assert!(add(&mut routes, "/notes").is_ok());
/// assert!(matches!(add(&mut routes, "/notes"), Err(RouteError::Conflict { .. })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteError {
    /// The pattern is none.
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        why: &'static str,
        /// Where it was added.
        place: &'static Location<'static>,
    },
    /// Another route answers for the same requests.
    Conflict {
        /// Method and pattern, as they were given.
        route: String,
        /// Where it was added.
        place: &'static Location<'static>,
        /// The pattern that was there.
        former: String,
        /// Where that was added.
        former_place: &'static Location<'static>,
    },
}

macro_rules! methods {
    ($($name:ident $method:ident $words:literal;)*) => {
        impl Routes {
            $(
                #[doc = concat!("Adds a handler for ", $words, ".")]
                #[track_caller]
                pub fn $name<Face>(
                    &mut self,
                    pattern: &str,
                    handler: impl Handler<Face>,
                ) -> Result<&mut Routes, RouteError> {
                    self.on(Method::$method, pattern, handler)
                }
            )*
        }
    };
}

methods! {
    get Get "GET, and for HEAD";
    post Post "POST";
    put Put "PUT";
    delete Delete "DELETE";
    patch Patch "PATCH";
}

impl Routes {
    /// No routes: everything is 404.
    pub fn new() -> Routes {
        Routes::default()
    }

    /// Adds a handler for a method.
    #[track_caller]
    pub fn on<Face>(
        &mut self,
        method: Method,
        pattern: &str,
        handler: impl Handler<Face>,
    ) -> Result<&mut Routes, RouteError> {
        let place = Location::caller();
        self.add(Some(method), pattern, handler.into_resource(place), place)
    }

    /// Adds a handler for all methods that have none of their own.
    #[track_caller]
    pub fn any<Face>(
        &mut self,
        pattern: &str,
        handler: impl Handler<Face>,
    ) -> Result<&mut Routes, RouteError> {
        let place = Location::caller();
        self.add(None, pattern, handler.into_resource(place), place)
    }

    /// Has another resource answer for what is below a prefix and has no route here: other routes, a tree,
    /// files.
    ///
    /// ```
    /// use ropewalk::http::{Redirect, Request, Routes, Tree};
    ///
    /// let tree = Tree::new();
    /// tree.put("old", Redirect::new("/notes/new").unwrap());
    /// let mut routes = Routes::new();
    /// routes.get("/notes/new", |_: &Request| Ok("a form"))?;
    /// routes.mount("/archive", tree)?; // /archive/old
    /// # Ok::<(), ropewalk::http::RouteError>(())
    /// ```
    #[track_caller]
    pub fn mount(
        &mut self,
        prefix: &str,
        resource: impl Resource + 'static,
    ) -> Result<&mut Routes, RouteError> {
        let place = Location::caller();
        let (node, names) = self.node(prefix, place)?;
        if names.rest.is_some() {
            return Err(bad(prefix, "a prefix has no rest", place));
        }
        if let Some(former) = &node.mount {
            return Err(conflict("mount", prefix, place, (&former.pattern, former.place)));
        }
        node.mount = Some(Mount { resource: Rc::new(resource), pattern: prefix.into(), place });
        Ok(self)
    }

    fn add(
        &mut self,
        method: Option<Method>,
        pattern: &str,
        resource: Rc<dyn Resource>,
        place: &'static Location<'static>,
    ) -> Result<&mut Routes, RouteError> {
        let (node, names) = self.node(pattern, place)?;
        let endpoint = if names.rest.is_some() { &mut node.rest } else { &mut node.end };
        if let Some(former) = endpoint.methods.iter().find(|route| route.method == method) {
            let word = method.as_ref().map_or("any method of", |method| method.as_str());
            return Err(conflict(word, pattern, place, (&former.pattern, former.place)));
        }
        let names = Rc::new(names);
        endpoint.methods.push(Route { method, resource, names, pattern: pattern.into(), place });
        Ok(self)
    }

    /// The node of a pattern, which is made on the way.
    fn node(
        &mut self,
        pattern: &str,
        place: &'static Location<'static>,
    ) -> Result<(&mut Node, Names), RouteError> {
        let Some(path) = pattern.strip_prefix('/') else {
            return Err(bad(pattern, "it does not begin with a slash", place));
        };
        let mut names = Names::default();
        let mut node = &mut self.root;
        for (at, segment) in path.split('/').enumerate() {
            if names.rest.is_some() {
                return Err(bad(pattern, "something follows the rest", place));
            }
            let inner = segment.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            node = match inner {
                Some("" | "*") => return Err(bad(pattern, "a name is empty", place)),
                Some(name) if names.has(name.trim_start_matches('*')) => {
                    return Err(bad(pattern, "a name is there twice", place));
                }
                Some(name) => match name.strip_prefix('*') {
                    Some(name) => {
                        names.rest = Some((name.into(), at));
                        node
                    }
                    None => {
                        names.segments.push((name.into(), at));
                        node.name.get_or_insert_default()
                    }
                },
                None if segment.contains(['{', '}']) => {
                    return Err(bad(pattern, "a brace stands inside a segment", place));
                }
                None => node.texts.entry(segment.into()).or_default(),
            };
        }
        Ok((node, names))
    }
}

/// What a path leads to.
enum Found<'n> {
    Endpoint(&'n Endpoint),
    /// With what is left of the path, counted from its end.
    Mount(&'n Mount, usize),
}

impl Node {
    /// Follows a path; `rest` is what is behind the slash, `None` behind the last segment.
    fn find(&self, rest: Option<&str>) -> Result<Option<Found<'_>>, Error> {
        let Some(path) = rest else {
            let is_end = !self.end.methods.is_empty();
            return Ok(is_end.then_some(Found::Endpoint(&self.end)));
        };
        let (raw, next) = match path.split_once('/') {
            Some((raw, next)) => (raw, Some(next)),
            None => (path, None),
        };
        let segment = percent_decode(raw)
            .map_err(|error| Error::new(Status::BAD_REQUEST, error.to_string()))?;
        if let Some(node) = self.texts.get(&*segment)
            && let Some(found) = node.find(next)?
        {
            return Ok(Some(found));
        }
        if let Some(node) = &self.name
            && !segment.is_empty()
            && let Some(found) = node.find(next)?
        {
            return Ok(Some(found));
        }
        if !self.rest.methods.is_empty() {
            return Ok(Some(Found::Endpoint(&self.rest)));
        }
        Ok(self.mount.as_ref().map(|mount| Found::Mount(mount, path.len())))
    }
}

impl Endpoint {
    fn render(&self, request: &Request, base: usize) -> Result<Reply> {
        let method = request.method();
        let of = |method| self.methods.iter().find(|route| route.method == Some(method));
        let route = of(method)
            .or_else(|| of(Method::Get).filter(|_| method == Method::Head))
            .or_else(|| self.methods.iter().find(|route| route.method.is_none()));
        let Some(route) = route else { return self.refuse(method) };
        if !route.names.is_empty() {
            request.set_names(route.names.clone(), base);
        }
        route.resource.render(request)
    }

    /// A method that is not among those of the path.
    fn refuse(&self, method: Method) -> Result<Reply> {
        let mut allowed: Vec<_> =
            self.methods.iter().filter_map(|it| it.method.as_ref()).map(Method::as_str).collect();
        if allowed.contains(&"GET") && !allowed.contains(&"HEAD") {
            allowed.push("HEAD");
        }
        allowed.push("OPTIONS");
        allowed.sort_unstable();
        let response = match method {
            Method::Options => Response::new(Status::NO_CONTENT),
            Method::Other(_) => return Ok(Status::NOT_IMPLEMENTED.into_reply()),
            _ => Response::from(Status::METHOD_NOT_ALLOWED),
        };
        Ok(response.header("Allow", allowed.join(", "))?.into_reply())
    }
}

impl Resource for Routes {
    fn is_leaf(&self) -> bool {
        true
    }

    fn render(&self, request: &Request) -> Result<Reply> {
        let rest = request.rest();
        let base = request.path().len() - rest.len();
        match self.root.find(Some(rest))? {
            Some(Found::Endpoint(endpoint)) => endpoint.render(request, base),
            Some(Found::Mount(mount, left)) => {
                request.follow(request.path().len() - left);
                request.render_by(&mount.resource)
            }
            None => Ok(Status::NOT_FOUND.into_reply()),
        }
    }
}

/// So that a leaf of [`leaf`](super::leaf) may stand where a handler does.
impl Handler<Leaf> for Leaf {
    fn into_resource(self, _: &'static Location<'static>) -> Rc<dyn Resource> {
        self.0
    }
}

fn bad(pattern: &str, why: &'static str, place: &'static Location<'static>) -> RouteError {
    RouteError::Pattern { pattern: pattern.to_owned(), why, place }
}

fn conflict(
    word: &str,
    pattern: &str,
    place: &'static Location<'static>,
    former: (&str, &'static Location<'static>),
) -> RouteError {
    RouteError::Conflict {
        route: format!("{word} {pattern}"),
        place,
        former: former.0.to_owned(),
        former_place: former.1,
    }
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RouteError::Pattern { pattern, why, place } => {
                write!(f, "{pattern:?} is no pattern: {why}, at {}:{}", place.file(), place.line())
            }
            RouteError::Conflict { route, place, former, former_place } => write!(
                f,
                "{route} is there already, as {former} from {}:{}, and again at {}:{}",
                former_place.file(),
                former_place.line(),
                place.file(),
                place.line()
            ),
        }
    }
}

impl std::error::Error for RouteError {}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").finish_non_exhaustive()
    }
}
