"""The event's schema in the forms that others read, all derived from `Event`. One module a form."""
