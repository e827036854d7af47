-- Return the fields and values of a task's next entry: those of its last one. Of more than a script can hand on the
-- first are kept, and those that are Buraq's: that `unpack` fails would be found after the XACK, and cost the batch.
local function carried(words)
  if #words <= 4000 then return words end
  local kept, ours = {}, {payload = true, deaths = true, claimed = true, attempts = true}
  for f = 1, #words, 2 do
    if f < 2000 or ours[words[f]] and #kept < 4000 then
      kept[#kept + 1], kept[#kept + 2] = words[f], words[f + 1]
    end
  end
  return kept
end
