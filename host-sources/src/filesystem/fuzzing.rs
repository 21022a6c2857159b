//! The bodies of fuzz targets, for those who call them by one name.

pub(crate) use super::fanotify::fuzzing::fanotify_events;
