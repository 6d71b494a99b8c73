"""Values as people may safely see them; see ``tidegate.model.shown``, which notices use too."""

from tidegate.model.shown import safe as safe
