"""Has the world moved? Detectors from River, fed so that their false alarms can be asked for, with plain state."""
