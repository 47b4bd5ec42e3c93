// The names in the pattern of a route.

/// Which segments have names, counted from the first of the pattern; a rest is the last one.
#[derive(Default)]
pub(super) struct Names {
    pub(super) segments: Vec<(Box<str>, usize)>,
    pub(super) rest: Option<(Box<str>, usize)>,
}

impl Names {
    pub(super) fn has(&self, name: &str) -> bool {
        self.segments.iter().any(|(known, _)| **known == *name)
    }

    /// Which segment a name stands for, and whether it is all that follows as well.
    pub(super) fn find(&self, name: &str) -> Option<(usize, bool)> {
        let segment = self.segments.iter().find(|(known, _)| **known == *name);
        let rest = self.rest.iter().find(|(known, _)| **known == *name);
        segment.map(|(_, at)| (*at, false)).or(rest.map(|(_, at)| (*at, true)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.rest.is_none()
    }
}
